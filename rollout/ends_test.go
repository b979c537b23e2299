package rollout_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
)

func TestShiftGivesNobodyMoreThanItCanBear(t *testing.T) { // A4
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := request("v1")
		first.Spec.MinReplicas = new(4)
		w.rolls(c, first)
		w.rolls(c, request("v2"))
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready, "it is kept")
		before := w.router.table(web)
		split := func(v1 int) rollout.Split {
			return rollout.Split{Weights: []rollout.Weight{{Version: "v1", Percent: v1}, {Version: "v2", Percent: 100 - v1}}}
		}
		for _, percent := range []int{26, 50, 100} {
			err := c.Shift(t.Context(), web, split(percent), ann)
			require.ErrorIs(t, err, rollout.ErrInvalid)
			require.ErrorContains(t, err, "replicas are to be ready: 1 is")
		}
		require.Equal(t, before, w.router.table(web), "nothing has changed")
		require.NoError(t, c.Shift(t.Context(), web, split(25), ann))
		require.ErrorIs(t, c.Shift(t.Context(), web, split(100), ann), rollout.ErrInvalid)
		time.Sleep(2 * time.Second)
		require.NoError(t, c.Shift(t.Context(), web, split(100), ann), "once it has what it needs")
		w.fleet.kill("v1", 1)
		require.NoError(t, c.Shift(t.Context(), web, split(100), ann), "who keeps what it has is not asked for more")
	})
}

func TestWhatDoesNotGoAwayIsNoEndlessLoop(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller(func(config *rollout.Config) { config.Deployer = immortal{w.fleet} })
		w.rolls(c, request("v1"))
		dark := request("v2")
		dark.Share = new(0)
		w.rolls(c, dark)
		before := w.fleet.observed.Load()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, c.Remove(ctx, web, "v2", ann), context.DeadlineExceeded)
		require.Less(t, w.fleet.observed.Load()-before, int64(80), "it looks once a second")
	})
}

// immortal is a Deployer whose Stop does nothing.
type immortal struct{ *fleet }

func (immortal) Stop(context.Context, rollout.RevisionID, []string, time.Duration) error { return nil }

func TestNobodyWaitsForAServiceWhenAllIsShutDown(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(c *rollout.Controller) error{
		"a run": func(c *rollout.Controller) error {
			_, err := c.Start(context.Background(), request("v3"))
			return err
		},
		"a change":  func(c *rollout.Controller) error { return c.Hold(context.Background(), web, ann) },
		"a removal": func(c *rollout.Controller) error { return c.Remove(context.Background(), web, "v2", ann) },
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller(func(config *rollout.Config) { config.Deployer = immortal{w.fleet} })
				w.rolls(c, request("v1"))
				dark := request("v2")
				dark.Share = new(0)
				w.rolls(c, dark)
				if name != "a removal" { // which waits for what does not go away
					_, err := w.db.Locker().Acquire(t.Context(), lease.Item("rollout", "", "web"), "somebody", time.Hour)
					require.NoError(t, err)
				}
				ended := make(chan error, 1)
				go func() { ended <- call(c) }()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				require.Empty(t, ended, "it waits")
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				require.NoError(t, c.Shutdown(ctx))
				require.Less(t, time.Since(begun), 5*time.Second)
				require.ErrorIs(t, <-ended, rollout.ErrClosed)
			})
		})
	}
}

func TestARunThatCannotBeReadKeepsNobodyFromBeingTold(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		first := w.controller()
		odd, run := w.rolls(first, request("v1")), w.rolls(first, request("v2"))
		require.NoError(t, first.Shutdown(t.Context())) // OnFinish is told, and that written
		svc, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		odd, err = w.db.Rollouts().Get(t.Context(), odd.ID)
		require.NoError(t, err)
		svc.Untold, odd.Step, odd.Token = []string{"gone", odd.ID, run.ID}, -1, svc.Token
		_, err = w.db.Rollouts().Save(t.Context(), rollout.Transition{Run: &odd, Service: &svc})
		require.NoError(t, err)
		var mu sync.Mutex
		var told []string
		c := w.controller(func(config *rollout.Config) {
			config.OnFinish = func(run rollout.Run) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, run.ID)
			}
		})
		w.tend(c)
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []string{run.ID}, told)
		svc, err = w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		require.Empty(t, svc.Untold)
	})
}
