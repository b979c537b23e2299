package firmware_test

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // a window is tried where clocks are changed

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// holds is a Gate that holds a run before a step while it is shut.
func holds(step firmware.Step, shut *atomic.Bool) firmware.Gate {
	return func(_ context.Context, _ firmware.Run, next firmware.Step) error {
		if next == step && shut.Load() {
			return errors.New("somebody is looking")
		}
		return nil
	}
}

func (d *device) last(fw *firmware.Service) firmware.Run {
	st, err := fw.Status(d.t.Context())
	require.NoError(d.t, err)
	require.NotNil(d.t, st.Last)
	return *st.Last
}

func TestAWindowOpensOnceOnTheDaysOnWhichClocksAreChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		berlin, err := time.LoadLocation("Europe/Berlin")
		require.NoError(t, err)
		for _, day := range []time.Time{
			time.Date(2000, 3, 26, 0, 0, 0, 0, berlin), // has no 2:45
			time.Date(2000, 7, 1, 0, 0, 0, 0, berlin),
			time.Date(2000, 10, 29, 0, 0, 0, 0, berlin), // has two
		} {
			time.Sleep(time.Until(day))
			opened, minutes, open := [2][]string{}, [2]int{}, [2]bool{}
			for ; time.Now().Before(day.AddDate(0, 0, 1)); time.Sleep(time.Minute) {
				for i, start := range []time.Duration{2*time.Hour + 45*time.Minute, 5 * time.Hour} {
					w := firmware.Window{Start: start, Length: 30 * time.Minute, Location: berlin}
					is := w.Gate(t.Context(), firmware.Run{}, firmware.StepInstall) == nil
					if is {
						minutes[i]++
					}
					if is && !open[i] {
						opened[i] = append(opened[i], time.Now().In(berlin).Format("15:04"))
					}
					open[i] = is
				}
			}
			assert.Len(t, opened[0], 1, day)
			assert.Equal(t, []string{"05:00"}, opened[1], day)
			assert.Equal(t, [2]int{30, 30}, minutes, day)
		}
	})
}

func TestAProgramThatConfirmsAtEveryStartDisarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		var shut atomic.Bool
		shut.Store(true)
		d.config.Gate = holds(firmware.StepRestart, &shut)
		image := noise(2, 4*segment)
		d.shop.add("1.3.0", image)
		fw := d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorIs(t, fw.Confirm(ctx, ann), firmware.ErrBusy)
		require.NoError(t, fw.Close())
		fw = d.start() // the program begins anew, the device does not
		require.ErrorIs(t, fw.Confirm(ctx, ann), firmware.ErrBusy)
		shut.Store(false)
		d.run(fw, time.Hour)
		require.NoError(t, fw.Close())
		fw = d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		run, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, "1.3.0", run.Version)
		assert.Equal(t, 1, d.sim.Starts())
	})
}

func TestWhatTheOtherSlotHoldsIsNotPulledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Health = func(context.Context) error { return nil }
		old := d.sim.Image()
		d.shop.add("1.2.0", old)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.onTrial("1.3.0")
		fw := d.start()
		d.run(fw, time.Minute)
		run, err := fw.Update(ctx, firmware.Request{Version: "1.2.0", AllowDowngrade: true})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Empty(t, run.Pulled)
		assert.Equal(t, old, d.sim.Image())
	})
}

func TestACatalogThatIsThereBeforeItsObjectsCostsATryAndNoWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Automatic, d.config.Interval, d.config.Health = true, time.Hour, func(context.Context) error { return nil }
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.onTrial("1.3.0")
		fw := d.start()
		d.run(fw, time.Minute)
		ready := time.Now().Add(90 * time.Minute)
		d.shop.fail = func(name string, _ int64) error {
			if name != firmware.CatalogName && time.Now().Before(ready) {
				return fs.ErrNotExist
			}
			return nil
		}
		d.shop.add("1.4.0", noise(3, 4*segment))
		d.run(fw, 80*time.Minute)
		require.ErrorIs(t, d.last(fw).Err(), firmware.ErrNotFound)
		pair, err := d.sim.Pair(ctx)
		require.NoError(t, err)
		assert.True(t, pair.Other.Whole, "there is a way back")
		d.run(fw, 4*time.Hour)
		require.NoError(t, fw.Close())
		fw = d.start()
		d.run(fw, time.Minute)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.4.0", st.Version, "nobody had to help")
	})
}

func TestADeviceGoesByTheReleasesThatHaveToBeBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Automatic, d.config.Health = true, func(context.Context) error { return nil }
		from := func(v string) func(*firmware.Release) { return func(r *firmware.Release) { r.MinFrom = v } }
		d.shop.add("2.0.0", noise(2, 4*segment), from("1.2.0"))
		d.shop.add("3.0.0", noise(3, 4*segment), from("2.0.0"))
		d.shop.add("4.0.0", noise(4, 4*segment), from("3.0.0"))
		fw := d.start()
		ran, end := context.WithTimeout(ctx, time.Hour)
		defer end()
		_ = fw.Run(ran)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "4.0.0", st.Version)
		assert.Equal(t, 3, d.sim.Starts())
		_, err = fw.Start(ctx, firmware.Request{Version: "3.0.0"})
		require.ErrorIs(t, err, firmware.ErrDowngrade)
	})
}

// worn counts what is written.
type worn struct {
	firmware.DeviceStore
	lease.Locker
	saves, leases atomic.Int64
}

func (w *worn) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	w.saves.Add(1)
	return w.DeviceStore.Save(ctx, r, events...)
}

func (w *worn) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	w.leases.Add(1)
	return w.Locker.Acquire(ctx, item, owner, ttl)
}

func (w *worn) Renew(ctx context.Context, l lease.Lease, ttl time.Duration) (lease.Lease, error) {
	w.leases.Add(1)
	return w.Locker.Renew(ctx, l, ttl)
}

func TestADeviceThatHasNothingToDoWritesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		w := &worn{DeviceStore: d.db.Firmware("4711"), Locker: d.db.Locker()}
		d.config.Store, d.config.DeviceStore, d.config.Locker = nil, w, w
		d.config.Automatic = true
		var shut atomic.Bool
		shut.Store(true)
		d.config.Gate = holds(firmware.StepInstall, &shut)
		fw := d.start()
		ran, end := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { _ = fw.Run(ran) })
		const days = 3
		time.Sleep(days * 24 * time.Hour)
		assert.Positive(t, w.saves.Load())
		assert.LessOrEqual(t, w.saves.Load(), int64(4*(days+1)), "of the record")
		assert.LessOrEqual(t, w.leases.Load(), int64(2*(days+1)))
		d.shop.add("1.3.0", noise(2, 4*segment))
		_, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		w.saves.Store(0)
		time.Sleep(time.Hour)
		assert.Zero(t, w.saves.Load(), "while the run is held")
		end()
		running.Wait()
	})
}

func TestADeviceThatIsDisabledOnTrialIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.onTrial("1.3.0")
		d.config.Disabled, d.config.Health = true, func(context.Context) error { return nil }
		fw := d.start()
		d.run(fw, time.Minute)
		assert.Equal(t, firmware.StateSucceeded, d.last(fw).State)
	})
}

func TestADeviceThatIsDisabledWhileARunWaitsDoesNotRestart(t *testing.T) {
	for _, step := range []firmware.Step{firmware.StepPull, firmware.StepInstall, firmware.StepRestart} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, d := t.Context(), newDevice(t)
				var shut atomic.Bool
				shut.Store(true)
				d.config.Gate = holds(step, &shut)
				d.shop.add("1.3.0", noise(2, 4*segment))
				fw := d.start()
				run, err := fw.Start(ctx, firmware.Request{})
				require.NoError(t, err)
				synctest.Wait()
				require.NoError(t, fw.Close())
				shut.Store(false)
				d.config.Disabled = true
				fw = d.start()
				d.run(fw, time.Hour)
				assert.Zero(t, d.sim.Starts())
				run, err = fw.Get(ctx, run.ID)
				require.NoError(t, err)
				assert.Equal(t, firmware.StateCancelled, run.State)
				pair, err := d.sim.Pair(ctx)
				require.NoError(t, err)
				assert.False(t, pair.Armed)
			})
		})
	}
}

func TestWhoSwitchesChecksOffCanLookWithoutAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Automatic, d.config.Interval = true, time.Hour
		fw := d.start()
		require.NoError(t, fw.Configure(ctx, func(s *firmware.Settings) { s.Checks = false }, ann))
		d.shop.add("1.3.0", noise(2, 4*segment))
		_, err := fw.Check(ctx)
		require.NoError(t, err)
		d.run(fw, 3*time.Hour)
		assert.Zero(t, d.sim.Starts())
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.3.0", st.Newest.Version, "and is told")
		_, err = fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting, "and may ask for it")
	})
}

func TestADeviceThatIsOnForMinutesFindsItsUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.config.Automatic, d.config.Health = true, func(context.Context) error { return nil }
		var online time.Time
		d.shop.fail = func(string, int64) error {
			if time.Now().Before(online) {
				return &firmware.UnavailableError{Err: errors.New("no network yet")}
			}
			return nil
		}
		d.shop.add("1.3.0", noise(2, 4*segment))
		for range 7 { // days
			online = time.Now().Add(40 * time.Second)
			fw := d.start()
			d.run(fw, 10*time.Minute)
			require.NoError(t, fw.Close())
			time.Sleep(24*time.Hour - 10*time.Minute)
		}
		fw := d.start()
		st, err := fw.Status(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "1.3.0", st.Version)
	})
}

func TestAVersionOfSeveralRevisionsIsThatOfThisDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Hardware = "B"
		mine := noise(3, 4*segment)
		d.shop.add("1.3.0", mine, func(r *firmware.Release) { r.Hardware = []string{"B"} })
		d.shop.add("1.3.0", noise(2, 4*segment), func(r *firmware.Release) { r.Hardware = []string{"A"} })
		fw := d.start()
		_, err := fw.Update(ctx, firmware.Request{Version: "1.3.0"})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, mine, d.sim.Image())
	})
}

func TestARebootThatNeverReturnsIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Health = func(context.Context) error { return nil }
		asked := 0
		d.config.Reboot = func(ctx context.Context) error {
			if asked++; asked == 1 {
				<-ctx.Done() // the command waits for a service that does not stop
				return context.Cause(ctx)
			}
			return d.sim.Reboot(ctx)
		}
		d.shop.add("1.3.0", noise(2, 4*segment))
		fw := d.start()
		_, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		d.run(fw, time.Hour)
		assert.Equal(t, 1, d.sim.Starts())
	})
}

func TestTheFloorOutlivesALostStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		epoch := func(n int64) func(*firmware.Release) { return func(r *firmware.Release) { r.Epoch = n } }
		d.shop.add("1.2.5", noise(3, 4*segment), epoch(1))
		d.shop.add("1.3.0", noise(2, 4*segment), epoch(2))
		d.onTrial("1.3.0")
		fw := d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		require.NoError(t, fw.Close())
		d.db = memory.New() // somebody resets the device to what the factory delivered
		d.config.Store = d.db
		fw = d.start()
		_, err := fw.Start(ctx, firmware.Request{Version: "1.2.5", AllowDowngrade: true})
		require.ErrorIs(t, err, firmware.ErrDowngrade)
	})
}

func TestWhatWasWithdrawnWhileItWaitedIsNotInstalled(t *testing.T) {
	for name, reached := range map[string]bool{"the catalog says so": true, "the feed is away": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, d := t.Context(), newDevice(t)
				var shut atomic.Bool
				shut.Store(true)
				d.config.Gate = holds(firmware.StepInstall, &shut)
				d.shop.add("1.3.0", noise(2, 4*segment))
				fw := d.start()
				run, err := fw.Start(ctx, firmware.Request{})
				require.NoError(t, err)
				time.Sleep(10 * time.Minute)
				require.NoError(t, fw.Close()) // the program begins anew
				fw = d.start()
				d.shop.set(func() {
					d.shop.catalog.Number++
					d.shop.catalog.Releases = nil
					d.shop.fail = func(string, int64) error {
						if reached {
							return nil
						}
						return &firmware.UnavailableError{Err: errors.New("no network")}
					}
				})
				shut.Store(false)
				d.run(fw, time.Hour)
				run, err = fw.Get(ctx, run.ID)
				require.NoError(t, err)
				if !reached {
					assert.Equal(t, 1, d.sim.Starts(), "nobody knows")
					return
				}
				assert.Zero(t, d.sim.Starts())
				assert.Equal(t, firmware.StateCancelled, run.State)
				assert.Contains(t, run.Reason, "withdrawn")
			})
		})
	}
}
