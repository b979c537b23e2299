package slot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

var errStopped = errors.New("stopped")

func image(version string) []byte { return bytes.Repeat([]byte(version+"\n"), 1000) }

func release(version string) firmware.Release {
	return firmware.Release{
		Version: version, Epoch: 3, Size: int64(len(image(version))), Digest: sha256.Sum256(image(version)),
		Meta: map[string]string{"roothash": "of_" + version},
	}
}

func install(t testing.TB, s firmware.Slots, version string) {
	t.Helper()
	f, err := s.Open(t.Context(), release(version))
	require.NoError(t, err)
	_, err = f.WriteAt(image(version), 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

// change is something that changes what starts, and the device before.
type change struct {
	name   string
	before func(t testing.TB, s *slot.Simulator)
	do     func(ctx context.Context, s *slot.Simulator) error
}

func openFor(version string) func(context.Context, *slot.Simulator) error {
	return func(ctx context.Context, s *slot.Simulator) error {
		f, err := s.Open(ctx, release(version))
		if err != nil {
			return err
		}
		return f.Close()
	}
}

var changes = []change{
	{"open from the factory", func(testing.TB, *slot.Simulator) {}, openFor("2.0.0")},
	{"open what is armed", func(t testing.TB, s *slot.Simulator) {
		install(t, s, "2.0.0")
		require.NoError(t, s.Activate(t.Context(), release("2.0.0"), "run"))
	}, openFor("3.0.0")},
	{"open after an update", func(t testing.TB, s *slot.Simulator) {
		install(t, s, "2.0.0")
		require.NoError(t, s.Activate(t.Context(), release("2.0.0"), "run"))
		require.NoError(t, s.Reboot(t.Context()))
		require.NoError(t, s.Confirm(t.Context()))
	}, openFor("3.0.0")},
	{"activate", func(t testing.TB, s *slot.Simulator) { install(t, s, "2.0.0") },
		func(ctx context.Context, s *slot.Simulator) error { return s.Activate(ctx, release("2.0.0"), "run") }},
	{"confirm", func(t testing.TB, s *slot.Simulator) {
		install(t, s, "2.0.0")
		require.NoError(t, s.Activate(t.Context(), release("2.0.0"), "run"))
		require.NoError(t, s.Reboot(t.Context()))
	}, func(ctx context.Context, s *slot.Simulator) error { return s.Confirm(ctx) }},
	{"revert", func(t testing.TB, s *slot.Simulator) {
		install(t, s, "2.0.0")
		require.NoError(t, s.Activate(t.Context(), release("2.0.0"), "run"))
		require.NoError(t, s.Reboot(t.Context()))
		require.NoError(t, s.Confirm(t.Context()))
	}, func(ctx context.Context, s *slot.Simulator) error { return s.Revert(ctx) }},
}

// TestAPowerCutAtAnyMomentLeavesADeviceThatStarts cuts the power before each
// time that something is made durable, with so many sectors written, and the
// rest of them old, zero or erased.
func TestAPowerCutAtAnyMomentLeavesADeviceThatStarts(t *testing.T) {
	for _, factory := range []string{"", "1.0.0"} {
		for _, c := range changes {
			t.Run(c.name+" "+factory, func(t *testing.T) {
				cuts := 0
				for sync := 1; ; sync++ {
					more := false
					for _, rest := range [][]byte{nil, {0}, {0xff}} {
						for reached := 0; ; reached += 512 {
							was, size := cutAt(t, factory, c, sync, reached, rest)
							if !was {
								break
							}
							more = true
							cuts++
							if reached >= size {
								break
							}
						}
					}
					if !more {
						break
					}
				}
				require.Greater(t, cuts, 2)
			})
		}
	}
}

// cutAt tries a change whose n-th sync comes too late, and reports whether there
// was one, and of how many bytes.
func cutAt(t *testing.T, factory string, c change, n, reached int, rest []byte) (was bool, size int) {
	t.Helper()
	ctx, s := t.Context(), slot.NewSimulator(factory, image("1.0.0"))
	c.before(t, s)
	running := s.Running()
	s.Inject(slot.Faults{Sync: func(string) error {
		if n--; n != 0 {
			return nil
		}
		was, size = true, s.LateBytes()
		s.Inject(slot.Faults{})
		require.NoError(t, s.Torn(ctx, reached, rest...))
		return errStopped
	}})
	err := c.do(ctx, s)
	s.Inject(slot.Faults{})
	if !was {
		require.NoError(t, err)
		return false, 0
	}
	what := fmt.Sprintf("%d bytes of sync, then %v", reached, rest)
	require.Error(t, err, what)
	p, err := s.Pair(ctx)
	require.NoError(t, err, what)
	require.True(t, p.Running.Whole, what)
	if s.Running() != running { // it was written all the same
		require.Contains(t, []string{"activate", "revert", "confirm", "open what is armed"}, c.name)
	}
	got, err := s.Base(ctx)
	require.NoError(t, err)
	held := make([]byte, 5)
	_, err = got.ReadAt(held, 0)
	require.NoError(t, err)
	require.Contains(t, []string{"1.0.0", "2.0.0"}, string(held), what)
	// Whatever was left, the next update works.
	require.NoError(t, s.Confirm(ctx), what)
	install(t, s, "4.0.0")
	require.NoError(t, s.Activate(ctx, release("4.0.0"), "next"), what)
	require.NoError(t, s.Reboot(ctx))
	require.NoError(t, s.Confirm(ctx), what)
	require.Equal(t, image("4.0.0"), s.Image(), what)
	return true, size
}

func TestVariablesThatAreTornAreThoseOfBeforeOrAfter(t *testing.T) {
	ctx := t.Context()
	long := func(letter string) map[string]string { return map[string]string{"k": strings.Repeat(letter, 3000)} }
	for _, rest := range [][]byte{nil, {0}, {0xff}} {
		for reached := 0; reached < 4096; reached += 512 {
			sim := slot.NewSimulator("", nil)
			f := sim.File("vars")
			before, after := slot.Vars{Slot: "a", B: long("x")}, slot.Vars{Slot: "b", Tries: 1, B: long("y")}
			for range 3 { // so that either copy is the one to be written
				before.Tries++
				require.NoError(t, f.Write(ctx, before))
				sim.Inject(slot.Faults{Sync: func(string) error {
					if sim.LateBytes() > 0 {
						require.NoError(t, sim.Torn(ctx, reached, rest...))
						return errStopped
					}
					return nil
				}})
				require.Error(t, f.Write(ctx, after))
				sim.Inject(slot.Faults{})
				got, err := f.Read(ctx)
				require.NoError(t, err)
				want := before
				if reached >= 3072+64 {
					want = after
				}
				require.Equal(t, want.Slot, got.Slot, "%d bytes, then %v", reached, rest)
				require.True(t, reflect.DeepEqual(want, got))
			}
		}
	}
}

func TestAProcessThatIsKilledBeforeASyncCostsNoCopy(t *testing.T) {
	ctx, sim := t.Context(), slot.NewSimulator("", nil)
	f := sim.File("vars")
	require.NoError(t, f.Write(ctx, slot.Vars{Slot: "a"}))
	stop := func(when func(late int) bool) {
		sim.Inject(slot.Faults{Sync: func(string) error {
			if when(sim.LateBytes()) {
				return errStopped
			}
			return nil
		}})
	}
	stop(func(late int) bool { return late > 0 })
	require.Error(t, f.Write(ctx, slot.Vars{Slot: "b"}), "it is written and not durable")
	sim.Inject(slot.Faults{})

	// What another process reads now stays, also after a power cut.
	got, err := f.Read(ctx)
	require.NoError(t, err)
	require.NoError(t, sim.PowerCut(ctx, 0))
	again, err := f.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, got, again)

	// And what another process writes then is not in the place of the only
	// copy that is durable.
	stop(func(late int) bool { return late > 0 })
	require.Error(t, f.Write(ctx, slot.Vars{Slot: "a", Tries: 1}))
	sim.Inject(slot.Faults{Sync: func(string) error {
		if sim.LateBytes() > 0 && bytes.Contains(sim.Contents("vars"), []byte("upkeep_tries=2")) {
			require.NoError(t, sim.Torn(ctx, 10, 0xff))
			return errStopped
		}
		return nil
	}})
	require.Error(t, f.Write(ctx, slot.Vars{Slot: "a", Tries: 2}))
	sim.Inject(slot.Faults{})
	got, err = f.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, slot.Vars{Slot: "a", Tries: 1}, got)
}

func TestDestroyedVariablesOrRecordsMakeADeviceUnavailable(t *testing.T) {
	for _, where := range []string{"variables", "records"} {
		for name, change := range map[string]func([]byte) []byte{
			"zero":   func(b []byte) []byte { return make([]byte, len(b)) },
			"erased": func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, len(b)) },
			"empty":  func([]byte) []byte { return []byte{} },
			"one bit of each copy": func(b []byte) []byte {
				b[70] ^= 1
				b[8192+70] ^= 1
				return b
			},
			"lengths": func(b []byte) []byte {
				copy(b[16:], []byte{0xff, 0xff, 0xff, 0xff})
				copy(b[8192+16:], []byte{0xff, 0xff, 0xff, 0xff})
				return b
			},
		} {
			t.Run(where+" "+name, func(t *testing.T) {
				ctx, s := t.Context(), slot.NewSimulator("1.0.0", image("1.0.0"))
				install(t, s, "2.0.0")
				s.Damage(where, change)
				before := s.Contents("a")
				_, err := s.Pair(ctx)
				require.ErrorIs(t, err, firmware.ErrUnavailable)
				require.ErrorContains(t, err, "both copies are damaged")
				_, err = s.Open(ctx, release("3.0.0"))
				require.ErrorIs(t, err, firmware.ErrUnavailable)
				require.ErrorIs(t, s.Activate(ctx, release("2.0.0"), "run"), firmware.ErrUnavailable)
				require.ErrorIs(t, s.Revert(ctx), firmware.ErrUnavailable)
				require.ErrorIs(t, s.Confirm(ctx), firmware.ErrUnavailable)
				require.Equal(t, before, s.Contents("a"))
				require.Equal(t, image("2.0.0"), s.Contents("b"), "nothing is written at all")
			})
		}
	}
}

func TestLostVariablesNeedAConfirmationBeforeASlotIsWritten(t *testing.T) {
	ctx, s := t.Context(), slot.NewSimulator("1.0.0", image("1.0.0"))
	install(t, s, "2.0.0")
	require.NoError(t, s.Activate(ctx, release("2.0.0"), "run"))
	require.NoError(t, s.Reboot(ctx))
	require.NoError(t, s.Confirm(ctx))
	s.Remove("variables") // as when U-Boot goes back to its default environment
	p, err := s.Pair(ctx)
	require.NoError(t, err)
	require.False(t, p.Confirmed)
	require.Equal(t, "2.0.0", p.Running.Version)
	_, err = s.Open(ctx, release("3.0.0"))
	require.ErrorIs(t, err, firmware.ErrTooLate)
	require.NoError(t, s.Confirm(ctx))
	install(t, s, "3.0.0")
}

func TestThreeHundredRoundsEndWithTheNewestCopy(t *testing.T) {
	ctx, s := t.Context(), slot.NewSimulator("1.0.0", image("1.0.0"))
	for i := range 300 {
		version, run := fmt.Sprint("2.0.", i), fmt.Sprint("run ", i)
		install(t, s, version)
		require.NoError(t, s.Activate(ctx, release(version), run))
		require.NoError(t, s.Reboot(ctx))
		require.NoError(t, s.Confirm(ctx))
		p, err := s.Pair(ctx)
		require.NoError(t, err)
		require.True(t, p.Confirmed)
		require.Equal(t, version, p.Running.Version)
	}
	require.Equal(t, 300, s.Starts())
}
