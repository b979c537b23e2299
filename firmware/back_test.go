package firmware_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// update brings the device to a version and confirms it.
func (d *device) update(version string) firmware.Run {
	ctx, fw := d.t.Context(), d.start()
	run, err := fw.Update(ctx, firmware.Request{Version: version})
	require.ErrorIs(d.t, err, firmware.ErrRestarting)
	require.NoError(d.t, fw.Close())
	fw = d.start()
	require.NoError(d.t, fw.Confirm(ctx, ann))
	run, err = fw.Wait(ctx, run.ID)
	require.NoError(d.t, err)
	require.NoError(d.t, fw.Close())
	return run
}

func TestWhatSucceededIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		old := d.sim.Image()
		d.shop.add("1.3.0", noise(2, 4*segment))
		run := d.update("1.3.0")
		fw := d.start()
		back, err := fw.Rollback(ctx, run.ID, firmware.By{Actor: "ann", RequestID: "once"})
		require.NoError(t, err)
		assert.Equal(t, run.ID, back.Undoes)
		again, err := fw.Rollback(ctx, run.ID, firmware.By{RequestID: "once"})
		require.NoError(t, err)
		assert.Equal(t, back.ID, again.ID)
		_, err = fw.Wait(ctx, back.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())

		fw = d.start()
		d.run(fw, time.Minute)
		back, err = fw.Wait(ctx, back.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateRolledBack, back.State)
		assert.True(t, bytes.Equal(old, d.sim.Image()))
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.2.0", st.Version)
		assert.Equal(t, firmware.DeviceIdle, st.State)
		_, err = fw.Start(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRolledBack, "what was taken back is left alone")
		_, err = fw.Rollback(ctx, run.ID, ann)
		require.ErrorIs(t, err, firmware.ErrStale)
	})
}

func TestTheFloorRisesOnlyAtConfirmAndHoldsTheWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.2.5", noise(4, 2*segment))
		d.shop.add("1.3.0", noise(2, 4*segment), func(r *firmware.Release) { r.Epoch = 3 })
		run := d.update("1.3.0")
		fw := d.start()
		_, err := fw.Rollback(ctx, run.ID, ann)
		require.ErrorIs(t, err, firmware.ErrTooLate)
		_, err = fw.Start(ctx, firmware.Request{Version: "1.2.5", AllowDowngrade: true})
		require.ErrorIs(t, err, firmware.ErrDowngrade)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, firmware.DeviceIdle, st.State)
		assert.Equal(t, run.ID, st.Last.ID)
	})
}

// stubborn slots do not keep a confirmation.
type stubborn struct {
	firmware.Slots
	deaf bool
}

func (s *stubborn) Confirm(ctx context.Context) error {
	if s.deaf {
		return nil
	}
	return s.Slots.Confirm(ctx)
}

func TestAConfirmationThatDidNotTakeIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		slots := &stubborn{d.sim, true}
		d.config.Slots = slots
		d.shop.add("1.3.0", noise(2, 4*segment), func(r *firmware.Release) { r.Epoch = 3 })
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		fw = d.start()
		require.ErrorIs(t, fw.Confirm(ctx, ann), firmware.ErrUnavailable)
		run, err = fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateTrial, run.State)
		rec, err := d.db.Firmware("4711").Load(ctx)
		require.NoError(t, err)
		assert.Zero(t, rec.Floor)
		slots.deaf = false
		require.NoError(t, fw.Confirm(ctx, ann))
		require.NoError(t, fw.Confirm(ctx, ann))
		rec, err = d.db.Firmware("4711").Load(ctx)
		require.NoError(t, err)
		assert.EqualValues(t, 3, rec.Floor)
	})
}

// bundle packs a release as shop does, which packs nothing.
func (s *shop) bundle(r firmware.Release, image []byte) []byte {
	raw, err := json.Marshal(firmware.Bundle{Product: "encoder", Release: r})
	if err != nil {
		panic(err)
	}
	out := append([]byte(firmware.BundleMagic), binary.BigEndian.AppendUint32(nil, uint32(len(raw)))...)
	out = append(out, raw...)
	out = append(out, s.objects[r.Index.Name]...)
	return append(out, image...)
}

// packed makes the ways of an index those that a bundle has.
func packed(s *shop, r firmware.Release) firmware.Release {
	var x firmware.Index
	if err := x.UnmarshalBinary(s.objects[r.Index.Name]); err != nil {
		panic(err)
	}
	for i := range x.Segments {
		x.Segments[i].Parts[0].Way = firmware.WayZstd
	}
	raw, err := x.MarshalBinary()
	if err != nil {
		panic(err)
	}
	r.Index = objectOf(raw)
	s.objects[r.Index.Name] = raw
	return r
}

func TestABundleOfWhatIsNotPackedIsInstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 4*segment+9)
		file := d.shop.bundle(d.shop.add("1.3.0", image), image)
		fw := d.start()
		run, err := fw.Upload(ctx, io.NopCloser(bytes.NewReader(file)), ann)
		require.NoError(t, err)
		assert.Equal(t, map[firmware.Way]int64{firmware.WayBundle: int64(len(image))}, run.Pulled)
		_, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.True(t, bytes.Equal(image, d.sim.Image()))
	})
}

func TestABundleIsInstalledWithoutAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 4*segment+9)
		file := d.shop.bundle(packed(d.shop, d.shop.add("1.3.0", image)), image)
		d.shop.set(func() { d.shop.fail = func(string, int64) error { return errors.New("no network") } })

		fw := d.start()
		run, err := fw.Upload(ctx, io.NopCloser(bytes.NewReader(file[:len(file)-segment])), ann)
		require.ErrorIs(t, err, firmware.ErrCorrupt)
		assert.Equal(t, firmware.StateFailed, run.State)
		pair, err := d.sim.Pair(ctx)
		require.NoError(t, err)
		assert.False(t, pair.Other.Whole)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, firmware.DeviceIdle, st.State)

		_, err = fw.Upload(ctx, io.NopCloser(bytes.NewReader(noise(1, 200))), ann)
		require.ErrorIs(t, err, firmware.ErrInvalid)

		run, err = fw.Upload(ctx, io.NopCloser(bytes.NewReader(file)), ann)
		require.NoError(t, err)
		run, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.EqualValues(t, len(image), run.Pulled[firmware.WayBundle])
		assert.True(t, bytes.Equal(image, d.sim.Image()))
	})
}
