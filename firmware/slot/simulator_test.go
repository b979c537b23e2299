package slot_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// armed is a device whose next start is of another image.
func armed(t testing.TB) *slot.Simulator {
	t.Helper()
	s := slot.NewSimulator("1.0.0", image("1.0.0"))
	install(t, s, "2.0.0")
	require.NoError(t, s.Activate(t.Context(), release("2.0.0"), "run"))
	return s
}

func pairOf(t testing.TB, s firmware.Slots) firmware.Pair {
	t.Helper()
	p, err := s.Pair(t.Context())
	require.NoError(t, err)
	return p
}

func TestASimulatorIsDeliveredWithARecordOrWithout(t *testing.T) {
	p := pairOf(t, slot.NewSimulator("1.0.0", image("1.0.0")))
	require.Equal(t, "1.0.0", p.Running.Version)
	require.Equal(t, release("1.0.0").Digest, p.Running.Digest)
	require.True(t, p.Confirmed)
	for _, s := range []*slot.Simulator{slot.NewSimulator("", image("1.0.0")), slot.NewSimulator("1.0.0", nil)} {
		require.Equal(t, firmware.Pair{Running: firmware.Slot{Whole: true}, Confirmed: true, Start: "0"}, pairOf(t, s))
	}
	require.Equal(t, image("1.0.0"), slot.NewSimulator("", image("1.0.0")).Image())
}

func TestABootLoaderThatIsStuckStartsWhatRuns(t *testing.T) {
	s := armed(t)
	s.Inject(slot.Faults{Stuck: true})
	require.NoError(t, s.Reboot(t.Context()))
	require.Equal(t, "1.0.0", pairOf(t, s).Running.Version)
	require.Equal(t, 1, s.Starts())
}

func TestAConfirmThatIsNotHeardSaysNothing(t *testing.T) {
	s := armed(t)
	require.NoError(t, s.Reboot(t.Context()))
	s.Inject(slot.Faults{Deaf: true})
	require.NoError(t, s.Confirm(t.Context()))
	require.False(t, pairOf(t, s).Confirmed)
	s.Inject(slot.Faults{})
	require.NoError(t, s.Confirm(t.Context()))
	require.True(t, pairOf(t, s).Confirmed)
}

func TestAnImageThatDoesNotComeUpFallsBackByItself(t *testing.T) {
	s := armed(t)
	var started []string
	s.Inject(slot.Faults{Start: func(name string) error {
		started = append(started, name)
		if bytes.HasPrefix(s.Image(), []byte("2.0.0")) {
			return errors.New("kernel panic")
		}
		return nil
	}})
	require.NoError(t, s.Reboot(t.Context()))
	require.Equal(t, []string{"b", "a"}, started)
	require.Equal(t, 2, s.Starts())
	p := pairOf(t, s)
	require.Equal(t, "1.0.0", p.Running.Version)
	require.Equal(t, 1, p.Other.Tries)
}

func TestADeviceThatDoesNotComeUpIsGivenUp(t *testing.T) {
	s := armed(t)
	s.Inject(slot.Faults{Start: func(string) error { return errStopped }})
	require.ErrorIs(t, s.Reboot(t.Context()), errStopped)
}

func TestAPowerCutLosesWhatWasNotSynced(t *testing.T) {
	ctx, s := t.Context(), slot.NewSimulator("1.0.0", image("1.0.0"))
	f, err := s.Open(ctx, release("2.0.0"))
	require.NoError(t, err)
	write := func(text string, off int64) {
		_, err := f.WriteAt([]byte(text), off)
		require.NoError(t, err)
	}
	read := func() string {
		p := make([]byte, 12)
		n, _ := f.ReadAt(p, 0)
		return string(p[:n])
	}
	write("durable", 0)
	require.NoError(t, f.Sync())
	write("DUR", 0)
	write("more", 8)
	require.Equal(t, "DURable\x00more", read())
	require.NoError(t, s.PowerCut(ctx, 2))
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorContains(t, err, "the power was cut")
	require.Error(t, f.Sync())
	f, err = s.Open(ctx, release("2.0.0"))
	require.NoError(t, err)
	require.Equal(t, "DUrable", read())
	write("DUR", 0)
	require.NoError(t, s.Reboot(ctx), "which is in order")
	f, err = s.Open(ctx, release("2.0.0"))
	require.NoError(t, err)
	require.Equal(t, "DURable", read())
}

func TestAFaultStopsAWriteOrASync(t *testing.T) {
	ctx, s := t.Context(), slot.NewSimulator("1.0.0", image("1.0.0"))
	f, err := s.Open(ctx, release("2.0.0"))
	require.NoError(t, err)
	var asked []string
	s.Inject(slot.Faults{
		Write: func(where string, off int64, p []byte) error { asked = append(asked, where); return errStopped },
		Sync:  func(where string) error { asked = append(asked, "sync "+where); return errStopped },
	})
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, errStopped)
	require.ErrorIs(t, f.Sync(), errStopped)
	require.Equal(t, []string{"b", "sync b"}, asked)
	s.Inject(slot.Faults{Write: func(where string, _ int64, _ []byte) error {
		if where == "variables" {
			return errStopped
		}
		return nil
	}})
	require.ErrorIs(t, s.Activate(ctx, release("2.0.0"), "run"), errStopped)
	s.Inject(slot.Faults{})
	require.NoError(t, s.Activate(ctx, release("2.0.0"), "run"))
	require.NoError(t, s.Reboot(ctx))
	require.Equal(t, "b", s.Running())
}

// deaf is a boot loader's environment that says that it was written.
type deaf struct{ slot.Boot }

func (deaf) Write(context.Context, slot.Vars) error { return nil }

func TestAnEnvironmentThatDoesNotKeepWhatItIsToldIsNoticed(t *testing.T) {
	p := newPC(t, deaf{fileBoot(t)}, image("1.0.0"))
	_, err := p.open(t).Open(t.Context(), release("2.0.0"))
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, "not what was written")
}
