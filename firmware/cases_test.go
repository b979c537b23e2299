package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

func TestTheSameImageUnderAnotherSpellingIsInstalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 4*segment)
		d.shop.add("v1.0.65", image)
		d.config.Automatic, d.config.Interval = true, time.Hour
		d.config.Health = func(context.Context) error { return nil }
		d.config.Version = func(context.Context) (string, error) { // what the image says of itself
			return []string{"1.0.64", "1.0.65"}[min(d.sim.Starts(), 1)], nil
		}
		for range 4 {
			fw := d.start()
			d.run(fw, 6*time.Hour)
			require.NoError(t, fw.Close())
		}
		assert.Equal(t, 1, d.sim.Starts())
		d.shop.add("1.0.65.0", image)
		fw := d.start()
		for _, version := range []string{"", "v1.0.65", "1.0.65.0"} {
			_, err := fw.Update(ctx, firmware.Request{Version: version})
			require.ErrorIs(t, err, firmware.ErrUpToDate, version)
		}
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.True(t, st.UpToDate)
		assert.Equal(t, "1.0.65", st.Version)
	})
}

func TestTwoBuildsOfAVersionReplaceEachOtherWhenTheyAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("2.1.28+a", noise(2, 2*segment))
		d.update("2.1.28+a")
		d.shop.add("2.1.28+b", noise(3, 2*segment))
		fw := d.start()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrUpToDate, "neither is newer")
		require.NoError(t, fw.Close())
		d.update("2.1.28+b")
		d.update("2.1.28+a")
		assert.Equal(t, 3, d.sim.Starts())
	})
}

func TestAVersionWithADashIsBelowTheOneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.2.0-5", noise(2, segment))
		d.shop.add("2024.0.0", noise(4, segment))
		d.shop.add("2024-05", noise(3, segment)) // the catalog has it first
		fw := d.start()
		_, err := fw.Start(ctx, firmware.Request{Version: "1.2.0-5"})
		require.ErrorIs(t, err, firmware.ErrDowngrade)
		require.NoError(t, fw.Close())
		d.update("")
		st, err := d.start().Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "2024.0.0", st.Version)
	})
}

// counted slots count what changes what starts.
type counted struct {
	firmware.Slots
	changes atomic.Int32
}

func (c *counted) Confirm(ctx context.Context) error {
	c.changes.Add(1)
	return c.Slots.Confirm(ctx)
}

func (c *counted) Revert(ctx context.Context) error {
	c.changes.Add(1)
	return c.Slots.Revert(ctx)
}

func TestADeviceFreshFromTheFactoryIsLeftAloneAndCanBeUpdated(t *testing.T) {
	for name, spoil := range map[string]func(*device){
		"its patch fits": func(*device) {},
		"no patch fits":  func(d *device) { d.shop.objects["patch-1"] = bytes.Repeat([]byte{9}, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, d := t.Context(), patched(t)
				spoil(d)
				d.sim = slot.NewSimulator("", d.sim.Image()) // nobody knows its digest
				slots := &counted{Slots: d.sim}
				d.config.Slots, d.config.Reboot, d.config.Interval = slots, d.sim.Reboot, -1
				d.config.Version = func(context.Context) (string, error) {
					return []string{"1.2.0", "1.3.0"}[min(d.sim.Starts(), 1)], nil
				}
				healthy := false
				d.config.Health = func(context.Context) error {
					if !healthy {
						return errors.New("nobody asked")
					}
					return nil
				}
				fw := d.start()
				d.run(fw, 100*time.Minute)
				st, err := fw.Status(ctx)
				require.NoError(t, err)
				assert.Equal(t, "1.2.0", st.Version)
				assert.Equal(t, firmware.DeviceIdle, st.State)
				assert.Nil(t, st.Run)
				assert.Zero(t, slots.changes.Load())
				assert.Zero(t, d.sim.Starts())

				run, err := fw.Update(ctx, firmware.Request{})
				require.ErrorIs(t, err, firmware.ErrRestarting)
				assert.Positive(t, run.Pulled[firmware.WayPatch], "it is tried")
				assert.Equal(t, name == "no patch fits", run.Pulled[firmware.WayRaw] > 0)
				require.NoError(t, fw.Close())
				healthy = true
				fw = d.start()
				d.run(fw, time.Minute)
				run, err = fw.Wait(ctx, run.ID)
				require.NoError(t, err)
				assert.Equal(t, firmware.StateSucceeded, run.State)
				assert.Equal(t, 1, d.sim.Starts())
			})
		})
	}
}

func TestAFailedPullCostsTheWayBackAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.2.5", noise(3, 2*segment))
		before := d.update("1.2.5") // 1.2.0 is in the other slot, and good
		good := d.sim.Image()
		r := d.shop.add("1.3.0", noise(2, 10*segment))
		d.shop.fail = func(name string, off int64) error {
			if name == d.shop.rawOf(r) && off >= 3*segment {
				return fs.ErrNotExist
			}
			return nil
		}
		d.shop.body = d.shop.cutAfter(r, 3*segment)
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrFailed)
		assert.Equal(t, 30, run.Percent)
		require.NoError(t, fw.Close())
		require.NoError(t, d.sim.Reboot(ctx))
		starts := d.sim.Starts()

		fw = d.start()
		d.run(fw, time.Minute)
		assert.True(t, bytes.Equal(good, d.sim.Image()))
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, firmware.DeviceFailed, st.State, "until the next operation")
		_, err = fw.Rollback(ctx, run.ID, ann)
		require.ErrorIs(t, err, firmware.ErrTooLate)
		_, err = fw.Rollback(ctx, before.ID, ann)
		require.ErrorIs(t, err, firmware.ErrTooLate)
		require.ErrorIs(t, d.sim.Revert(ctx), firmware.ErrTooLate)
		assert.Equal(t, starts, d.sim.Starts())
		d.shop.set(func() { d.shop.fail, d.shop.body = nil, nil })
		_, err = fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}

func TestWhatFellBackIsTakenAgainWithOtherBytes(t *testing.T) {
	for _, version := range []string{"1.3.0", "1.4.0"} {
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t)
			d.shop.add("1.3.0", noise(2, 2*segment))
			d.config.Automatic, d.config.Interval = true, time.Hour
			bad := d.shop.catalog.Releases[0].Digest
			d.config.Health = func(context.Context) error {
				if pair, err := d.sim.Pair(t.Context()); err != nil || pair.Running.Digest == bad {
					return errors.New("no picture")
				}
				return nil
			}
			for start := range 8 {
				if start == 4 {
					require.Equal(t, 2, d.sim.Starts())
					d.shop.set(func() { d.shop.catalog.Releases = nil })
					d.shop.add(version, noise(3, 2*segment))
				}
				fw := d.start()
				d.run(fw, 6*time.Hour)
				require.NoError(t, fw.Close())
			}
			assert.Equal(t, 3, d.sim.Starts())
			assert.True(t, bytes.Equal(noise(3, 2*segment), d.sim.Image()))
		})
	}
}

func TestARunWaitsForItsWindowThroughPowerCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Interval = -1
		var open atomic.Bool
		d.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
			if next != firmware.StepPull && !open.Load() {
				return errors.New("not by day")
			}
			return nil
		}
		old := d.sim.Image()
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		for range 2 {
			d.run(fw, 3*time.Hour)
			st, err := fw.Status(ctx)
			require.NoError(t, err)
			assert.Equal(t, firmware.DeviceIdle, st.State)
			assert.Equal(t, "not by day", st.Info)
			require.Equal(t, firmware.StateWaiting, st.Run.State)
			require.NoError(t, fw.Close())
			require.NoError(t, d.sim.PowerCut(ctx, 0))
			assert.True(t, bytes.Equal(old, d.sim.Image()), "what waits is not started")
			fw = d.start()
		}
		open.Store(true)
		d.run(fw, 10*time.Minute)
		require.NoError(t, fw.Close())
		assert.False(t, bytes.Equal(old, d.sim.Image()), "it needs no other request")
		assert.Equal(t, 1, d.shop.count(d.shop.rawOf(r)), "nothing is pulled again")
		fw = d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		run, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateSucceeded, run.State)
	})
}
