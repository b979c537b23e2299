package rollout_test

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
)

// late is a Locker that takes its time, in which something happens.
type late struct {
	lease.Locker
	meanwhile func()
}

func (l late) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	l.meanwhile()
	return l.Locker.Acquire(ctx, item, owner, ttl)
}

func TestWhoComesWhileAServiceIsAboutToSleepIsNotCutOff(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		begun := time.Now()
		c := w.controller(func(config *rollout.Config) {
			config.Locker = late{w.db.Locker(), func() {
				if time.Since(begun) > time.Minute {
					w.router.mu.Lock()
					defer w.router.mu.Unlock()
					w.router.flying = 1
				}
			}}
		})
		w.tend(c)
		r := request("v1")
		r.Spec.MinReplicas = new(0)
		w.rolls(c, r)
		time.Sleep(time.Hour)
		w.router.mu.Lock()
		require.Equal(t, 1, w.router.flying, "it was about to sleep")
		w.router.mu.Unlock()
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
	})
}

func TestNothingIsStoppedThatHasSomethingOpen(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		r := request("v1")
		r.Spec.MinReplicas = new(0)
		w.rolls(c, r)
		flying := func(n int) {
			w.router.mu.Lock()
			defer w.router.mu.Unlock()
			w.router.flying = n
		}
		flying(1) // a tunnel, of which nothing is counted before it ends
		time.Sleep(time.Hour)
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
		flying(0)
		time.Sleep(4 * time.Minute)
		ready, _ = w.fleet.count("v1")
		require.Equal(t, 1, ready, "it is idle from then on")
		time.Sleep(2 * time.Minute)
		_, all := w.fleet.count("v1")
		require.Zero(t, all)
	})
}

func TestHowLongAServiceIsIdleBeforeItSleepsIsAChoice(t *testing.T) {
	t.Parallel()
	const look = 15 * time.Second
	for _, after := range []time.Duration{time.Second, 20 * time.Second, time.Hour, 0} {
		t.Run(after.String(), func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller(func(config *rollout.Config) { config.SleepAfter = after })
				w.tend(c)
				r := request("v1")
				r.Spec.MinReplicas = new(0)
				w.rolls(c, r)
				asked := time.Now()
				for range 2 { // awake since its roll, and since it was woken
					idle := cmp.Or(after, 5*time.Minute)
					w.until("it sleeps", func() bool { _, all := w.fleet.count("v1"); return all == 0 })
					require.GreaterOrEqual(t, time.Since(asked), idle)
					require.LessOrEqual(t, time.Since(asked), idle+min(idle, look)+time.Second)
					w.router.wait(1)
					w.until("it is awake", func() bool { ready, _ := w.fleet.count("v1"); return ready == 1 })
					w.router.wait(0)
					asked = time.Now()
				}
			})
		})
	}
}
