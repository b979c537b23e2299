package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestOnFinishThatBlocksHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		ended := make(chan firmware.Run)
		d.config.OnFinish = func(r firmware.Run) { ended <- r }
		d.config.Slots = lateSlots{d.sim}
		var open chan struct{} // while it is not, the run goes on and is waited for
		d.config.Gate = func(context.Context, firmware.Run, firmware.Step) error { <-open; return nil }
		fw := d.start()
		for range 3 {
			open = make(chan struct{})
			waited := make(chan error, 1)
			go func() {
				_, err := fw.Update(ctx, firmware.Request{Version: "1.3.0"})
				waited <- err
			}()
			time.Sleep(time.Second) // it waits for whoever works on the run
			close(open)
			require.ErrorIs(t, <-waited, firmware.ErrFailed)
		}
		told := map[string]int{}
		for range 3 {
			told[(<-ended).ID]++
		}
		assert.Len(t, told, 3)
	})
}

func TestOnFinishIsToldOfEveryRunThatHasEndedThoughTheProgramDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		dead, done := context.WithCancel(ctx)
		d.config.OnFinish = func(firmware.Run) { <-dead.Done() }
		d.config.Slots = lateSlots{d.sim}
		store := &mortal{Store: d.db}
		d.config.Store = store
		fw := d.start()
		want := map[string]bool{}
		for range 3 {
			run, err := fw.Update(ctx, firmware.Request{Version: "1.3.0"})
			require.ErrorIs(t, err, firmware.ErrFailed)
			want[run.ID] = true
		}
		store.die()
		done()
		require.NoError(t, fw.Close())
		d.config.Store = d.db
		var mu sync.Mutex
		told := map[string]bool{}
		d.config.OnFinish = func(r firmware.Run) {
			mu.Lock()
			defer mu.Unlock()
			told[r.ID] = true
		}
		fw = d.start()
		d.run(fw, time.Minute)
		require.NoError(t, fw.Close())
		assert.Equal(t, want, told)
	})
}

// mortal is a store of a process that can die: from then on it keeps nothing.
type mortal struct {
	firmware.Store
	mu   sync.Mutex
	dead bool
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) Firmware(name string) firmware.DeviceStore {
	return mortalDevice{m.Store.Firmware(name), m}
}

type mortalDevice struct {
	firmware.DeviceStore
	m *mortal
}

func (m mortalDevice) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	m.m.mu.Lock()
	dead := m.m.dead
	m.m.mu.Unlock()
	if dead {
		return firmware.Record{}, firmware.ErrClosed
	}
	return m.DeviceStore.Save(ctx, r, events...)
}

func TestTheLastSuccessIsTakenBackThoughALaterRunWasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		old := d.sim.Image()
		d.shop.add("1.3.0", noise(2, 4*segment))
		run := d.update("1.3.0")
		d.shop.add("1.4.0", noise(3, 4*segment))
		d.config.Gate = func(context.Context, firmware.Run, firmware.Step) error { return errors.New("on a metered network") }
		fw := d.start()
		later, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		_, err = fw.Rollback(ctx, run.ID, ann)
		require.ErrorIs(t, err, firmware.ErrBusy)
		require.NoError(t, fw.Cancel(ctx, later.ID, ann))
		_, err = fw.Wait(ctx, later.ID)
		require.ErrorIs(t, err, firmware.ErrCancelled)
		_, err = fw.Rollback(ctx, later.ID, ann)
		require.ErrorIs(t, err, firmware.ErrStale)
		back, err := fw.Rollback(ctx, run.ID, ann)
		require.NoError(t, err)
		assert.Equal(t, run.ID, back.Undoes)
		_, err = fw.Wait(ctx, back.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.True(t, bytes.Equal(old, d.sim.Image()))
	})
}

func TestWhatWasRolledBackHidesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		run := d.update("1.3.0")
		fw := d.start()
		_, err := fw.Rollback(ctx, run.ID, ann)
		require.NoError(t, err)
		_, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, fw.Close())
		d.shop.add("1.2.5", noise(4, 2*segment))
		d.config.Automatic, d.config.Interval = true, time.Hour
		d.config.Health = func(context.Context) error { return nil }
		for range 2 {
			fw = d.start()
			d.run(fw, 2*time.Hour)
			require.NoError(t, fw.Close())
		}
		st, err := d.start().Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.2.5", st.Version)
		assert.Equal(t, "1.3.0", st.Newest.Version)
		assert.False(t, st.UpToDate)
	})
}

func TestASlotIsReadBackAgainAfterTheGateHasHeldTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		opens := time.Now().Add(2 * time.Hour)
		d.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
			if next == firmware.StepInstall && time.Now().Before(opens) {
				return errors.New("not now")
			}
			return nil
		}
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{Version: "1.3.0"})
		require.NoError(t, err)
		synctest.Wait()
		f, err := d.sim.Open(ctx, run.Release) // whoever it is that mounts what it sees
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("mounted"), 2*segment)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		run, err = fw.Wait(ctx, run.ID)
		if errors.Is(err, firmware.ErrRestarting) {
			assert.True(t, bytes.Equal(noise(2, 4*segment), d.sim.Image()), "it was mended first")
			return
		}
		require.ErrorIs(t, err, firmware.ErrFailed, fmt.Sprint(run.State))
		assert.Zero(t, d.sim.Starts())
	})
}

func TestACatalogThatHasExpiredIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.shop.catalog.Expires = time.Now().Add(time.Hour)
		fw := d.start()
		_, err := fw.Check(ctx)
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		_, err = fw.Plan(ctx, firmware.Request{Version: "1.3.0"})
		require.ErrorIs(t, err, firmware.ErrExpired)
		d.shop.mu.Lock()
		d.shop.catalog.Expires = time.Now().Add(time.Hour)
		d.shop.mu.Unlock()
		_, err = fw.Update(ctx, firmware.Request{Version: "1.3.0"})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}

func TestAnAutomaticUpdateThatComesToNothingIsTriedOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Automatic, d.config.Slots, d.config.Interval = true, lateSlots{d.sim}, time.Hour
		fw := d.start()
		_, err := fw.Check(ctx) // somebody looks, and nobody waits an hour because of that
		require.NoError(t, err)
		d.run(fw, time.Minute)
		runs := func() (n int) {
			for _, err := range fw.History(ctx, firmware.Query{}) {
				require.NoError(t, err)
				n++
			}
			return n
		}
		assert.Equal(t, 1, runs())
		d.run(fw, 3*time.Hour)
		assert.Equal(t, 4, runs())
	})
}

// usedSlots are in use elsewhere for a while.
type usedSlots struct {
	firmware.Slots
	until time.Time
}

func (u usedSlots) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	if time.Now().Before(u.until) {
		return nil, fmt.Errorf("%w: it is mounted", firmware.ErrUnavailable)
	}
	return u.Slots.Open(ctx, r)
}

func TestASlotInUseIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Slots = usedSlots{d.sim, time.Now().Add(20 * time.Minute)}
		_, err := d.start().Update(ctx, firmware.Request{Version: "1.3.0"})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}
