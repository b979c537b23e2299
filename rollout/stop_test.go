package rollout_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func (f *fleet) Stop(ctx context.Context, id rollout.RevisionID, ids []string, _ time.Duration) error {
	if err := f.called("Stop"); err != nil {
		return err
	}
	if f.stopping != nil {
		f.stopping(id, ids)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range ids {
		r := f.replicas[name]
		if r == nil {
			continue
		}
		if r.State != rollout.ReplicaStopping && f.slow > 0 {
			r.State, f.ends[name] = rollout.ReplicaStopping, time.Now().Add(f.slow)
			f.tell()
		}
		if left := time.Until(f.ends[name]); left > 0 {
			f.mu.Unlock()
			err := sleep(ctx, left)
			f.mu.Lock()
			if err != nil {
				return err
			}
		}
		delete(f.replicas, name)
	}
	f.tell()
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestWhatMustNotRunTwiceWaitsForWhatIsStoppedSlowly(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		alone := rollout.Strategy{Unavailable: 1, KeepOld: -1, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
		first := request("v1")
		first.Strategy = &alone
		w.rolls(c, first)
		w.fleet.slow = 7 * time.Second
		w.fleet.refuses = func(id rollout.RevisionID) error {
			for _, r := range w.fleet.replicas {
				if r.Revision != id {
					w.fails("%s runs, and %s begins", r.ID, id.Version)
				}
			}
			return nil
		}
		next := request("v2")
		next.Strategy = &alone
		begun := time.Now()
		w.rolls(c, next)
		require.GreaterOrEqual(t, time.Since(begun), 8*time.Second)
		_, all := w.fleet.count("v1")
		require.Zero(t, all)

		w.fleet.sick["v3"] = "exit 1"
		next.Version, next.Spec.Command = "v3", []string{"v3"}
		_, err := c.Roll(t.Context(), next)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Equal(t, "v2 100", shares(w.router.table(web).Split))
	})
}

func TestAStopThatWasCutShortGoesOn(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.fleet.slow = 7 * time.Second
		r := request("v2")
		r.Strategy = &rollout.Strategy{KeepOld: -1, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.until("a Stop", func() bool {
			w.fleet.mu.Lock()
			defer w.fleet.mu.Unlock()
			return len(w.fleet.ends) == 1
		})
		require.NoError(t, c.Close())
		synctest.Wait()
		_, all := w.fleet.count("v1")
		require.Equal(t, 1, all, "it is half way")
		next := w.controller()
		w.tend(next)
		w.until("the rest", func() bool {
			_, all := w.fleet.count("v1")
			svc, err := w.db.Rollouts().Service(t.Context(), web)
			return err == nil && all == 0 && len(svc.Revisions) == 1
		})
		run, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StateSucceeded, run.State)
	})
}

func TestASlowStopKeepsNobodyFromLookingAfterTheService(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := request("v1")
		first.Spec.MinReplicas = new(2)
		w.rolls(c, first)
		w.fleet.slow = time.Hour
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 50, Hold: -1}, {Percent: 100, Hold: -1}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.until("a Stop", func() bool {
			w.fleet.mu.Lock()
			defer w.fleet.mu.Unlock()
			return len(w.fleet.ends) > 0
		})
		w.fleet.kill("v2", 1)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		ready, _ := w.fleet.count("v2")
		require.Positive(t, ready, "it has another one")
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
	})
}
