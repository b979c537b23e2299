package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/lease"
)

var errDead = errors.New("this process is dead")

// life is that of one process, which may end at a certain call of what is
// outside of it: before the call has an effect, or right after it.
type life struct {
	mu    sync.Mutex
	at    int // the call at which it ends; 0: it does not
	after bool
	calls int
	last  string // the call at which it ended
	once  sync.Once
	dead  chan struct{}
}

func newLife(at int, after bool) *life { return &life{at: at, after: after, dead: make(chan struct{})} }

// endsAt makes the life end at the n-th call from now.
func (l *life) endsAt(n int, after bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.after = l.calls+n, after
}

// end ends the life now.
func (l *life) end() { l.once.Do(func() { close(l.dead) }) }

// call makes one call that has an effect outside.
func (l *life) call(name string, effect func() error) error {
	l.mu.Lock()
	l.calls++
	ends, after, gone := l.calls == l.at, l.after, l.gone()
	if ends && !gone {
		l.last = name
	}
	l.mu.Unlock()
	switch {
	case gone:
		return errDead
	case !ends:
		return effect()
	}
	if after {
		_ = effect()
	}
	l.end()
	return errDead
}

func (l *life) gone() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// The parts of a device as a process with such a life sees them.
type (
	mortalStore struct {
		firmware.DeviceStore
		*life
	}
	mortalLocker struct {
		lease.Locker
		*life
	}
	mortalSlots struct {
		firmware.Slots
		*life
	}
	mortalFile struct {
		firmware.File
		*life
	}
	mortalFeed struct {
		firmware.Feed
		*life
	}
)

func (m mortalStore) Load(ctx context.Context) (firmware.Record, error) {
	if m.gone() {
		return firmware.Record{}, errDead
	}
	return m.DeviceStore.Load(ctx)
}

func (m mortalStore) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (stored firmware.Record, err error) {
	name := "save"
	if r.Run != nil {
		name += " " + string(r.Run.State) + " " + string(r.Progress)
	}
	err = m.call(name, func() (err error) {
		stored, err = m.DeviceStore.Save(ctx, r, events...)
		return err
	})
	return stored, err
}

func (m mortalLocker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	if m.gone() {
		return lease.Lease{}, errDead
	}
	return m.Locker.Acquire(ctx, item, owner, ttl)
}

func (m mortalLocker) Release(ctx context.Context, l lease.Lease) error {
	if m.gone() {
		return errDead
	}
	return m.Locker.Release(ctx, l)
}

func (m mortalLocker) Renew(ctx context.Context, l lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if m.gone() {
		return lease.Lease{}, errDead
	}
	return m.Locker.Renew(ctx, l, ttl)
}

func (m mortalSlots) Open(ctx context.Context, r firmware.Release) (f firmware.File, err error) {
	err = m.call("open", func() (err error) {
		f, err = m.Slots.Open(ctx, r)
		return err
	})
	return mortalFile{f, m.life}, err
}

func (m mortalSlots) Activate(ctx context.Context, r firmware.Release, run string) error {
	return m.call("activate", func() error { return m.Slots.Activate(ctx, r, run) })
}

func (m mortalSlots) Confirm(ctx context.Context) error {
	return m.call("confirm", func() error { return m.Slots.Confirm(ctx) })
}

func (m mortalSlots) Revert(ctx context.Context) error {
	return m.call("revert", func() error { return m.Slots.Revert(ctx) })
}

func (m mortalFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = m.call("write", func() (err error) {
		n, err = m.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (m mortalFile) Sync() error { return m.call("sync", m.File.Sync) }

func (m mortalFeed) Get(ctx context.Context, name string, off, n int64) (rc io.ReadCloser, err error) {
	err = m.call("get", func() (err error) {
		rc, err = m.Feed.Get(ctx, name, off, n)
		return err
	})
	return rc, err
}

// ends is a Service whose process has this life.
func (l *life) ends(c firmware.Config) firmware.Config {
	c.DeviceStore, c.Locker = mortalStore{c.DeviceStore, l}, mortalLocker{c.Locker, l}
	c.Slots, c.Feed = mortalSlots{c.Slots, l}, mortalFeed{c.Feed, l}
	reboot := c.Reboot
	c.Reboot = func(ctx context.Context) error { return l.call("reboot", func() error { return reboot(ctx) }) }
	return c
}

// live is one start of the device's program: it goes on until nothing is to be
// done any more, the device restarts, or the process dies.
func (d *device) live(ctx context.Context, l *life, began bool) (restarted bool) {
	c := d.config
	c.Store, c.DeviceStore, c.Locker = nil, d.db.Firmware("4711"), d.db.Locker()
	starts := d.sim.Starts()
	fw, err := firmware.New(l.ends(c))
	require.NoError(d.t, err)
	defer fw.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = fw.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for ctx.Err() == nil && !l.gone() && d.sim.Starts() == starts {
		if !began { // ErrBusy as long as the lease of a dead process lasts
			_, err := fw.Start(ctx, firmware.Request{By: firmware.By{RequestID: "once"}})
			began = err == nil
		}
		if rec, err := d.db.Firmware("4711").Load(ctx); began && err == nil && rec.Run != nil && rec.Run.State.Done() {
			break
		}
		time.Sleep(time.Second)
	}
	return d.sim.Starts() != starts
}

// TestAKillAnywhereIsSurvived kills the process at each of its calls, before
// and after the effect, and lets the device go on as often as it restarts.
func TestAKillAnywhereIsSurvived(t *testing.T) {
	for _, well := range []bool{true, false} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("well %t, after %t", well, after), func(t *testing.T) {
				at := 1
				for ; killedAt(t, well, after, at); at += historytest.Every(3) {
					require.Less(t, at, 500)
				}
				assert.Greater(t, at, 30)
			})
		}
	}
}

// killedAt reports whether there was something to kill.
func killedAt(t *testing.T, well, after bool, at int) (killed bool) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		old, image := d.sim.Image(), noise(2, 20*segment+17)
		d.shop.add("1.3.0", image, func(r *firmware.Release) { r.Epoch = 7 })
		d.config.ConfirmWithin = 5 * time.Minute
		d.config.Interval = -1
		d.config.Health = func(context.Context) error {
			if !well {
				return errors.New("no picture")
			}
			return nil
		}
		calls, what := 0, ""
		for start := range 12 {
			l := newLife(0, false)
			if !killed {
				l = newLife(at-calls, after)
			}
			d.live(ctx, l, start > 0)
			calls += l.calls
			if l.gone() {
				killed, what = true, l.last
				if start == 0 { // the request may not have been recorded: ask again
					d.live(ctx, newLife(0, false), false)
				}
			}
		}
		where := fmt.Sprintf("killed at %d (%s)", at, what)
		pair, err := d.sim.Pair(ctx)
		require.NoError(t, err)
		require.True(t, pair.Confirmed, where)
		rec, err := d.db.Firmware("4711").Load(ctx)
		require.NoError(t, err)
		require.NotNil(t, rec.Run, where)
		if well {
			require.Equal(t, firmware.StateSucceeded, rec.Run.State, where)
			require.True(t, bytes.Equal(image, d.sim.Image()), where)
			require.EqualValues(t, 7, rec.Floor, where)
			require.LessOrEqual(t, d.sim.Starts(), 2, where)
		} else {
			require.Equal(t, firmware.StateRolledBack, rec.Run.State, where+": "+rec.Run.Reason)
			require.True(t, bytes.Equal(old, d.sim.Image()), where)
			require.Zero(t, rec.Floor, where)
			require.LessOrEqual(t, d.sim.Starts(), 4, where)
		}
		kinds := d.told(t)
		require.Equal(t, 1, kinds[firmware.EventEnded], where)
		require.Equal(t, 1, kinds[firmware.EventStarted], where)
	})
	return killed
}

// told counts the events of the device, by their kind.
func (d *device) told(t *testing.T) map[firmware.EventKind]int {
	watching, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	kinds := map[firmware.EventKind]int{}
	for e, err := range d.db.Firmware("4711").Watch(watching, 0) {
		if err != nil {
			break
		}
		kinds[e.Kind]++
	}
	return kinds
}
