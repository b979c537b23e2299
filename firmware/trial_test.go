package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func never(context.Context) error { return errors.New("no picture") }

// onTrial brings the device to a new image that nobody has confirmed.
func (d *device) onTrial(version string) firmware.Run {
	fw := d.start()
	run, err := fw.Update(d.t.Context(), firmware.Request{Version: version, By: ann})
	require.ErrorIs(d.t, err, firmware.ErrRestarting)
	require.NoError(d.t, fw.Close())
	return run
}

func TestAnImageThatNobodyHasConfirmedIsJudgedThoughItsRunIsLost(t *testing.T) {
	for name, well := range map[string]bool{"well": true, "not well": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, d := t.Context(), newDevice(t)
				old := d.sim.Image()
				d.shop.add("1.3.0", noise(2, 4*segment))
				d.onTrial("1.3.0")
				d.db = memory.New() // the store is lost
				d.config.Store = d.db
				d.config.Health = func(context.Context) error { return nil }
				if !well {
					d.config.Health = never
				}
				fw := d.start()
				d.run(fw, time.Minute)
				if !well {
					st, err := fw.Status(ctx)
					require.NoError(t, err)
					require.NotNil(t, st.Run)
					assert.Equal(t, firmware.StateTrial, st.Run.State)
					assert.Equal(t, "confirm", st.Info)
					assert.Equal(t, "1.2.0", st.Run.From)
					d.run(fw, time.Hour)
					require.NoError(t, fw.Close())
					fw = d.start()
					d.run(fw, time.Minute)
				}
				pair, err := d.sim.Pair(ctx)
				require.NoError(t, err)
				assert.True(t, pair.Confirmed)
				st, err := fw.Status(ctx)
				require.NoError(t, err)
				require.NotNil(t, st.Last)
				if well {
					assert.Equal(t, firmware.StateSucceeded, st.Last.State)
					assert.Equal(t, "1.3.0", st.Version)
					return
				}
				assert.Equal(t, firmware.StateRolledBack, st.Last.State)
				assert.ErrorIs(t, st.Last.Err(), firmware.ErrUnhealthy)
				assert.True(t, bytes.Equal(old, d.sim.Image()))
			})
		})
	}
}

func TestACancelOfARunThatNobodyWorksOnGoesBackOnceTheNewImageRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
			if next == firmware.StepRestart {
				return errors.New("somebody is looking")
			}
			return nil
		}
		d.config.Reboot = func(ctx context.Context) error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			return d.sim.Reboot(ctx)
		}
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{Version: "1.3.0"})
		require.NoError(t, err)
		synctest.Wait() // it waits to restart
		require.NoError(t, fw.Close())
		fw = d.start()
		require.NoError(t, fw.Cancel(ctx, run.ID, ann))
		require.NoError(t, fw.Close())
		require.NoError(t, d.sim.Reboot(ctx)) // somebody pulls the plug
		fw = d.start()
		d.run(fw, time.Hour)
		require.NoError(t, fw.Close())
		assert.Equal(t, 2, d.sim.Starts())
		fw = d.start()
		d.run(fw, time.Minute)
		run, err = fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateRolledBack, run.State)
		assert.Equal(t, "by ann: wanted", run.Reason)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.2.0", st.Version)
	})
}

func TestARunSaysWhatHealthHasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		run := d.onTrial("1.3.0")
		d.config.Health = never
		fw := d.start()
		d.run(fw, time.Minute)
		run, err := fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateTrial, run.State)
		assert.Equal(t, "no picture", run.Reason)
		d.run(fw, time.Hour)
		require.NoError(t, fw.Close())
		fw = d.start()
		d.run(fw, time.Minute)
		run, err = fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateRolledBack, run.State)
		assert.Equal(t, "not confirmed within 10m0s: no picture", run.Reason)
		said := 0
		for e, err := range fw.Follow(ctx, run.ID) {
			require.NoError(t, err)
			if e.Message == "no picture" {
				said++
			}
		}
		assert.Equal(t, 1, said)
	})
}

func TestADeviceThatDoesNotKnowItsVersionTakesNothingByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.sim = slot.NewSimulator("", noise(1, 3*segment))
		d.config.Slots, d.config.Reboot, d.config.Automatic = d.sim, d.sim.Reboot, true
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.shop.add("1.4.0", noise(2, 4*segment), func(r *firmware.Release) { r.MinFrom = "1.0.0" })
		fw := d.start()
		d.run(fw, time.Hour)
		assert.Zero(t, d.sim.Starts())
		_, err := fw.Start(ctx, firmware.Request{Version: "1.4.0"})
		require.ErrorIs(t, err, firmware.ErrMismatch)
		_, err = fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}

func TestHealthThatHangsEndsWithConfirmWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.onTrial("1.3.0")
		d.config.ConfirmWithin = 10 * time.Minute
		d.config.Health = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		d.run(d.start(), time.Hour)
		assert.Equal(t, 2, d.sim.Starts())
		assert.Less(t, time.Since(began), 11*time.Minute)
	})
}

func TestASecondTrialHasAllOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		var unwell atomic.Bool
		d.config.Health = func(ctx context.Context) error {
			if unwell.Load() {
				return never(ctx)
			}
			return nil
		}
		fw := d.start() // a host that updates a device beside it
		go func() { _ = fw.Run(ctx) }()
		d.shop.add("1.3.0", noise(2, 4*segment))
		run, err := fw.Update(ctx, firmware.Request{Version: "1.3.0"})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		time.Sleep(time.Minute)
		run, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err, "the restart of the device is noticed")
		assert.Equal(t, firmware.StateSucceeded, run.State)
		time.Sleep(24 * time.Hour)
		unwell.Store(true)
		d.shop.add("1.4.0", noise(3, 4*segment))
		_, err = fw.Update(ctx, firmware.Request{Version: "1.4.0"})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		time.Sleep(9 * time.Minute)
		assert.Equal(t, 2, d.sim.Starts(), "it has ten minutes")
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 3, d.sim.Starts())
	})
}

func TestAConfirmThatIsNotHeardKeepsTheRunOnTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
			if next == firmware.StepRestart {
				return errors.New("somebody is looking")
			}
			return nil
		}
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{Version: "1.3.0"})
		require.NoError(t, err)
		synctest.Wait()
		d.sim.Inject(slot.Faults{Deaf: true})
		require.NoError(t, fw.Cancel(ctx, run.ID, ann))
		time.Sleep(time.Minute)
		run, err = fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.NotEqual(t, firmware.StateCancelled, run.State, "the next start would be of the new image")
		d.sim.Inject(slot.Faults{})
		d.run(fw, time.Minute)
		run, err = fw.Get(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateCancelled, run.State)
		assert.Zero(t, d.sim.Starts())
	})
}
