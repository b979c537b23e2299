package firmwaretest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// SlotsHarness describes the firmware.Slots under test.
type SlotsHarness struct {
	// Open returns the slots of a device that runs image, fresh from a factory
	// that wrote no record, and cleans up with t.Cleanup. Each slot takes an
	// image of 64 KiB.
	Open func(t testing.TB, image []byte) firmware.Slots
	// Restart starts the device, as its boot loader does, and returns the slots
	// as the program that runs then sees them.
	Restart func(t testing.TB, s firmware.Slots) firmware.Slots
	// Padded is set if an image that is read back is as long as its slot.
	Padded bool
	// RealTime is set if testing/synctest cannot fake the clock, such as that of
	// other programs.
	RealTime bool
}

// RunSlots checks that slots keep every promise of firmware.Slots.
func RunSlots(t *testing.T, h SlotsHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

func (h SlotsHarness) cases() []suitetest.Case {
	return suitetest.On(func(t testing.TB) *slotsTest {
		return &slotsTest{TB: t, h: h, slots: h.Open(t, slotImage("1.0.0"))}
	}, []struct {
		Name string
		Run  func(*slotsTest)
	}{
		{"a device from the factory is confirmed and has nothing to go back to", (*slotsTest).factory},
		{"a slot keeps what was written to it", (*slotsTest).keeps},
		{"an image that does not fit costs nothing", (*slotsTest).space},
		{"what is not whole is not activated", (*slotsTest).notOpened},
		{"an activated image is whole and was not started", (*slotsTest).activated},
		{"an activated image starts once and is not confirmed", (*slotsTest).trial},
		{"a confirmed image starts again and again", (*slotsTest).confirmed},
		{"an image that is not confirmed falls back", (*slotsTest).fallsBack},
		{"an activated image is armed until it starts or the running one is confirmed", (*slotsTest).armed},
		{"a slot that was tried for a run is not tried for it again", (*slotsTest).triedOnce},
		{"another run may try an image again", (*slotsTest).another},
		{"activating again changes nothing", (*slotsTest).activateAgain},
		{"a slot that is opened is not whole and is not started", (*slotsTest).opened},
		{"a slot is not opened while the running image is not confirmed", (*slotsTest).unconfirmed},
		{"confirm takes back what was activated and not started", (*slotsTest).disarms},
		{"revert goes back from a confirmed image", (*slotsTest).revert},
		{"revert goes back from an image on trial", (*slotsTest).revertTrial},
		{"revert is refused unless the other image is whole", (*slotsTest).revertRefused},
		{"revert is refused to an image that was never confirmed", (*slotsTest).revertBad},
		{"what was reverted may be confirmed after all", (*slotsTest).changesMind},
		{"the running image can be read", (*slotsTest).base},
		{"many updates go from slot to slot", (*slotsTest).many},
	})
}

// slotsTest is what a case works with.
type slotsTest struct {
	testing.TB
	h     SlotsHarness
	slots firmware.Slots
}

// slotImage is the image of a version.
func slotImage(version string) []byte {
	return bytes.Repeat([]byte("image "+version+"\n"), 1000)
}

func release(version string) firmware.Release {
	image := slotImage(version)
	return firmware.Release{
		Version: version, Epoch: 7, Size: int64(len(image)), Digest: sha256.Sum256(image),
		Meta: map[string]string{"roothash": "of_" + version, "none": ""},
	}
}

// install writes an image into the other slot.
func (t *slotsTest) install(version string) firmware.Release {
	t.Helper()
	r := release(version)
	f, err := t.slots.Open(t.Context(), r)
	require.NoError(t, err)
	_, err = f.WriteAt(slotImage(version), 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	return r
}

func (t *slotsTest) activate(version, run string) {
	t.Helper()
	require.NoError(t, t.slots.Activate(t.Context(), release(version), run))
}

// update installs and activates an image, and restarts.
func (t *slotsTest) update(version, run string) {
	t.Helper()
	t.install(version)
	t.activate(version, run)
	t.restart()
}

func (t *slotsTest) restart() {
	t.Helper()
	t.slots = t.h.Restart(t, t.slots)
}

func (t *slotsTest) pair() firmware.Pair {
	t.Helper()
	p, err := t.slots.Pair(t.Context())
	require.NoError(t, err)
	return p
}

// runs checks which image runs.
func (t *slotsTest) runs(version string, confirmed bool) {
	t.Helper()
	require.Equal(t, confirmed, t.pair().Confirmed)
	base, err := t.slots.Base(t.Context())
	require.NoError(t, err)
	defer base.Close()
	want := slotImage(version)
	if !t.h.Padded {
		require.EqualValues(t, len(want), base.Size())
	}
	got := make([]byte, len(want))
	_, err = base.ReadAt(got, 0)
	require.NoError(t, noEOF(err))
	require.Equal(t, string(want), string(got))
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// holds is the Slot of an image that was activated for a run.
func holds(version, run string, tries int) firmware.Slot {
	r := release(version)
	return firmware.Slot{Version: version, Epoch: r.Epoch, Digest: r.Digest, Whole: true, Run: run, Tries: tries}
}

func (t *slotsTest) refusedBack() {
	t.Helper()
	require.ErrorIs(t, t.slots.Revert(t.Context()), firmware.ErrTooLate)
}

func (t *slotsTest) factory() {
	for range 2 {
		p := t.pair()
		p.Start = ""
		require.Equal(t, firmware.Pair{Running: firmware.Slot{Whole: true}, Confirmed: true}, p)
		require.NoError(t, t.slots.Confirm(t.Context()))
		t.refusedBack()
		t.restart()
		t.runs("1.0.0", true)
	}
}

func (t *slotsTest) keeps() {
	t.install("2.0.0")
	f, err := t.slots.Open(t.Context(), release("2.0.0"))
	require.NoError(t, err)
	defer f.Close()
	got := make([]byte, len(slotImage("2.0.0")))
	_, err = f.ReadAt(got, 0)
	require.NoError(t, noEOF(err))
	require.Equal(t, string(slotImage("2.0.0")), string(got))
}

func (t *slotsTest) space() {
	t.update("2.0.0", "run")
	require.NoError(t, t.slots.Confirm(t.Context()))
	before := t.pair()
	r := release("3.0.0")
	r.Size = int64(1) << 60
	for range 3 { // nor does it leave the slot open
		_, err := t.slots.Open(t.Context(), r)
		require.ErrorIs(t, err, firmware.ErrNoSpace)
		space, is := errors.AsType[*firmware.SpaceError](err)
		require.True(t, is)
		require.Equal(t, int64(1<<60), space.Need)
	}
	require.Equal(t, before, t.pair())
	t.install("3.0.0")
}

func (t *slotsTest) notOpened() {
	require.ErrorIs(t, t.slots.Activate(t.Context(), release("2.0.0"), "run"), firmware.ErrTooLate)
	t.install("2.0.0")
	require.ErrorIs(t, t.slots.Activate(t.Context(), release("3.0.0"), "run"), firmware.ErrTooLate)
	t.restart()
	t.runs("1.0.0", true)
	require.False(t, t.pair().Other.Whole)
}

func (t *slotsTest) activated() {
	t.install("2.0.0")
	require.Equal(t, firmware.Slot{}, t.pair().Other)
	t.activate("2.0.0", "run")
	p := t.pair()
	require.True(t, p.Confirmed)
	require.True(t, p.Running.Whole)
	require.Equal(t, holds("2.0.0", "run", 0), p.Other)
	t.runs("1.0.0", true)
}

func (t *slotsTest) trial() {
	t.update("2.0.0", "run")
	t.runs("2.0.0", false)
	p := t.pair()
	require.Equal(t, holds("2.0.0", "run", 1), p.Running)
	require.True(t, p.Other.Whole)
}

func (t *slotsTest) confirmed() {
	t.update("2.0.0", "run")
	for range 3 {
		require.NoError(t, t.slots.Confirm(t.Context()))
		t.runs("2.0.0", true)
		t.restart()
		t.runs("2.0.0", true)
		require.Equal(t, "run", t.pair().Running.Run)
		require.True(t, t.pair().Other.Whole)
	}
}

func (t *slotsTest) fallsBack() {
	t.update("2.0.0", "run")
	t.runs("2.0.0", false)
	for range 2 {
		t.restart()
		t.runs("1.0.0", true)
		require.Equal(t, holds("2.0.0", "run", 1), t.pair().Other)
	}
}

func (t *slotsTest) armed() {
	require.False(t, t.pair().Armed)
	t.install("2.0.0")
	require.False(t, t.pair().Armed)
	t.activate("2.0.0", "run")
	require.True(t, t.pair().Armed)
	require.NoError(t, t.slots.Confirm(t.Context()))
	require.False(t, t.pair().Armed)
	t.update("2.0.0", "again")
	require.False(t, t.pair().Armed)
	t.restart() // it falls back
	require.False(t, t.pair().Armed)
}

func (t *slotsTest) triedOnce() {
	t.update("2.0.0", "run")
	t.activate("2.0.0", "run") // it runs
	t.runs("2.0.0", false)
	t.restart()
	for range 2 {
		t.activate("2.0.0", "run")
		t.restart()
		t.runs("1.0.0", true)
		require.Equal(t, 1, t.pair().Other.Tries)
		require.NoError(t, t.slots.Confirm(t.Context())) // which is no reason to try it either
		require.Equal(t, holds("2.0.0", "run", 1), t.pair().Other)
	}
}

func (t *slotsTest) another() {
	t.update("2.0.0", "first")
	t.restart()
	t.install("2.0.0")
	require.False(t, t.pair().Other.Whole)
	t.activate("2.0.0", "second")
	require.Equal(t, holds("2.0.0", "second", 0), t.pair().Other)
	t.restart()
	t.runs("2.0.0", false)
	t.restart()
	t.activate("2.0.0", "third")
	require.Equal(t, holds("2.0.0", "third", 0), t.pair().Other)
	t.restart()
	t.runs("2.0.0", false)
}

func (t *slotsTest) activateAgain() {
	t.install("2.0.0")
	for range 3 {
		t.activate("2.0.0", "run")
		require.Equal(t, holds("2.0.0", "run", 0), t.pair().Other)
	}
	t.restart()
	t.runs("2.0.0", false)
}

func (t *slotsTest) opened() {
	t.install("2.0.0")
	t.activate("2.0.0", "run")
	f, err := t.slots.Open(t.Context(), release("3.0.0"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.False(t, t.pair().Other.Whole)
	t.restart()
	t.runs("1.0.0", true)
	t.refusedBack()
	require.ErrorIs(t, t.slots.Activate(t.Context(), release("2.0.0"), "run"), firmware.ErrTooLate)
}

func (t *slotsTest) unconfirmed() {
	t.update("2.0.0", "run")
	before := t.pair()
	_, err := t.slots.Open(t.Context(), release("3.0.0"))
	require.ErrorIs(t, err, firmware.ErrTooLate)
	require.Equal(t, before, t.pair())
	require.NoError(t, t.slots.Confirm(t.Context()))
	require.NoError(t, t.slots.Revert(t.Context())) // then the next start is of the other slot
	_, err = t.slots.Open(t.Context(), release("3.0.0"))
	require.ErrorIs(t, err, firmware.ErrTooLate)
	t.restart()
	t.runs("1.0.0", true)
}
