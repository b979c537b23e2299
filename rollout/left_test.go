package rollout_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
)

// forgetfulLocker is a Locker that can stop to renew leases.
type forgetfulLocker struct {
	lease.Locker
	silent atomic.Bool
}

func (l *forgetfulLocker) Renew(ctx context.Context, held lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if l.silent.Load() {
		return held, errDown
	}
	return l.Locker.Renew(ctx, held, ttl)
}

// crowd counts how many are in it at once.
type crowd struct {
	mu               sync.Mutex
	now, most, calls int
}

func (c *crowd) enter(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += by
	c.most = max(c.most, c.now)
	c.calls += max(0, by)
}

func (c *crowd) counts() (now, most, calls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.most, c.calls
}

func TestAFunctionIsNotCalledTwiceAtOnceWhenItsRunIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	for _, returns := range []bool{true, false} {
		passes(t, func(t *testing.T, w *world) {
			locker := &forgetfulLocker{Locker: w.db.Locker()}
			var in crowd
			goes := make(chan struct{})
			end := sync.OnceFunc(func() { close(goes) })
			c := w.controller(func(c *rollout.Config) {
				c.Locker, c.RunStore, c.Store = locker, w.db.Rollouts(), nil
				c.Before = []rollout.Hook{{Name: "migrate", Timeout: 5 * time.Minute, Do: func(_ context.Context, run rollout.Run) error {
					if run.Revision.Version == "v2" {
						in.enter(1)
						<-goes // whatever its context says
						in.enter(-1)
					}
					return nil
				}}}
			})
			t.Cleanup(end) // before c is closed
			w.tend(c)
			w.rolls(c, request("v1"))
			run, err := c.Start(t.Context(), request("v2"))
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			locker.silent.Store(true)
			time.Sleep(time.Minute)
			locker.silent.Store(false)
			w.until("it is taken up again", func() bool {
				now, err := c.Get(t.Context(), run.ID)
				return err == nil && now.Token > run.Token
			})
			time.Sleep(time.Minute)
			now, most, _ := in.counts()
			require.Equal(t, 1, now)
			require.Equal(t, 1, most)
			if returns {
				end()
				run, err = c.Wait(t.Context(), run.ID)
				require.NoError(t, err)
				_, most, calls := in.counts()
				require.Equal(t, 1, most)
				require.Equal(t, 2, calls, "it is called again, once it has returned")
				return
			}
			run, err = c.Wait(t.Context(), run.ID)
			require.ErrorIs(t, err, rollout.ErrFailed)
			require.Equal(t, `hook "migrate": it has not returned since it was last called`, run.Reason)
			end()
			require.NoError(t, c.Shutdown(t.Context()), "which waits for it")
			_, most, _ = in.counts()
			require.Equal(t, 1, most)
		})
	}
}
