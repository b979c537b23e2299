package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

func TestABootLoaderThatStartsNothingNewIsAskedOnce(t *testing.T) {
	for _, returns := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, d := t.Context(), newDevice(t)
			d.sim.Inject(slot.Faults{Stuck: true})
			d.config.Automatic, d.config.Interval = true, time.Hour
			d.shop.add("1.3.0", noise(2, 4*segment))
			if !returns { // the power goes while it is called
				d.config.Reboot = func(ctx context.Context) error {
					_ = d.sim.Reboot(ctx)
					<-ctx.Done()
					return ctx.Err()
				}
			}
			for range 4 {
				fw := d.start()
				d.run(fw, 6*time.Hour)
				require.NoError(t, fw.Close())
			}
			assert.Equal(t, 1, d.sim.Starts())
			st, err := d.start().Status(ctx)
			require.NoError(t, err)
			require.NotNil(t, st.Last)
			assert.Equal(t, firmware.StateRolledBack, st.Last.State)
			assert.ErrorIs(t, st.Last.Err(), firmware.ErrUnhealthy)
			assert.Equal(t, firmware.DeviceFailed, st.State)
			d.sim.Inject(slot.Faults{})
			require.NoError(t, d.sim.Reboot(ctx))
			pair, err := d.sim.Pair(ctx)
			require.NoError(t, err)
			assert.True(t, pair.Confirmed, "nothing is left that could start one day")
		})
	}
}

func TestAProcessThatComesBetweenRebootAndTheRestartJudgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Reboot = func(context.Context) error { return nil } // it takes a while
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())

		asked := 0
		d.config.Reboot = func(context.Context) error { asked++; return nil }
		fw = d.start()
		d.run(fw, time.Minute)
		require.NoError(t, fw.Close())
		assert.Equal(t, 1, asked, "it asks again")
		require.NoError(t, d.sim.Reboot(ctx))
		fw = d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		run, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateSucceeded, run.State)
	})
}

func TestADeviceThatDoesNotRestartIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		asked := 0
		d.config.Reboot = func(context.Context) error { asked++; return nil }
		fw := d.start()
		_, err := fw.Update(t.Context(), firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		d.run(fw, time.Hour)
		assert.Equal(t, 6, asked, "every ten minutes")
	})
}

func TestAProgramThatBeginsAnewDoesNotBeginItsTrialAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.config.Interval = -1
		d.config.Health = func(context.Context) error { return errors.New("no picture") }
		d.shop.add("1.3.0", noise(2, 4*segment))
		fw := d.start()
		_, err := fw.Update(t.Context(), firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		began := time.Now()
		for d.sim.Starts() == 1 && time.Since(began) < time.Hour { // it crashes every four minutes
			fw := d.start()
			d.run(fw, 4*time.Minute)
			require.NoError(t, fw.Close())
		}
		assert.Equal(t, 2, d.sim.Starts())
		assert.Less(t, time.Since(began), 20*time.Minute)
	})
}

func TestACancelBeforeTheRestartDisarmsTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
			if next == firmware.StepRestart {
				return errors.New("people are watching")
			}
			return nil
		}
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, fw.Cancel(ctx, run.ID, ann))
		_, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrCancelled)
		old := d.sim.Image()
		require.NoError(t, d.sim.Reboot(ctx))
		assert.True(t, bytes.Equal(old, d.sim.Image()))
	})
}

func TestHealthThatIsAskedWhileSomebodyConfirmsTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Interval = -1
		d.config.Health = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		d.shop.add("1.3.0", noise(2, 4*segment))
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		fw = d.start()
		go func() {
			time.Sleep(5 * time.Minute)
			_ = fw.Confirm(context.Background(), ann)
		}()
		d.run(fw, time.Hour)
		run, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateSucceeded, run.State)
		assert.Equal(t, 1, d.sim.Starts())
	})
}

func TestAnImageThatIsNotWellAndHasNoWayBackStaysAndCanBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		slots := &lonely{Slots: d.sim}
		d.config.Slots, d.config.Interval = slots, -1
		d.config.Health = func(context.Context) error { return errors.New("no picture") }
		d.shop.add("1.3.0", noise(2, 4*segment))
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		slots.alone = true
		fw = d.start()
		d.run(fw, time.Hour)
		run, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrUnhealthy)
		assert.Equal(t, firmware.StateFailed, run.State)
		slots.alone = false
		d.shop.add("1.4.0", noise(3, 4*segment))
		_, err = fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}

// lonely slots have nothing in the other one.
type lonely struct {
	firmware.Slots
	alone bool
}

func (l *lonely) Pair(ctx context.Context) (firmware.Pair, error) {
	p, err := l.Slots.Pair(ctx)
	if l.alone {
		p.Other = firmware.Slot{}
	}
	return p, err
}

func TestWhatAnExpiredCatalogRotatesCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.shop.add("1.4.0", noise(2, 4*segment))
		d.shop.set(func() { d.shop.catalog.Expires = time.Now().Add(-time.Hour) })
		fw := d.start()
		_, err := fw.Check(ctx)
		require.ErrorIs(t, err, firmware.ErrExpired)
		d.shop.set(func() { d.shop.catalog.Number, d.shop.catalog.Expires = 1, time.Time{} })
		_, err = fw.Check(ctx)
		require.ErrorIs(t, err, firmware.ErrReplayed)
	})
}

func TestACatalogFromTheFutureEndsNoUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		time.Sleep(40 * 365 * 24 * time.Hour) // a clock that works
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.shop.set(func() {
			d.shop.catalog.Issued, d.shop.catalog.Expires = time.Now().AddDate(900, 0, 0), time.Now().AddDate(901, 0, 0)
		})
		fw := d.start()
		_, err := fw.Check(ctx)
		require.NoError(t, err)
		d.shop.add("1.4.0", noise(3, 4*segment))
		d.shop.set(func() { d.shop.catalog.Issued, d.shop.catalog.Expires = time.Now(), time.Now().AddDate(1, 0, 0) })
		_, err = fw.Check(ctx)
		require.NoError(t, err)
	})
}
