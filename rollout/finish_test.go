package rollout_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestOnFinishIsInNobodysWay(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		goes, told := make(chan struct{}), make(chan string, 10)
		c := w.controller(func(config *rollout.Config) {
			config.OnFinish = func(run rollout.Run) {
				told <- run.ID
				<-goes
			}
		})
		w.tend(c)
		begun := time.Now()
		first, second := w.rolls(c, request("v1")), w.rolls(c, request("v2"))
		require.Less(t, time.Since(begun), 5*time.Minute)
		untold := func() []string {
			svc, err := w.db.Rollouts().Service(t.Context(), web)
			require.NoError(t, err)
			return svc.Untold
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Len(t, told, 2, "though it takes longer than a lease")
		require.Equal(t, []string{first.ID, second.ID}, untold(), "nobody was, should the process die now")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun = time.Now()
		require.ErrorIs(t, c.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(begun))
		close(goes)
		require.NoError(t, c.Shutdown(t.Context()))
		require.Empty(t, untold())
		require.Len(t, told, 2)
	})
}

func TestOnFinishMayCloseTheController(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		closed := make(chan struct{})
		var c *rollout.Controller
		c = w.controller(func(config *rollout.Config) {
			config.OnFinish = func(run rollout.Run) {
				_, err := c.Wait(context.Background(), run.ID)
				if err == nil {
					_ = c.Close()
				}
				close(closed)
			}
		})
		w.rolls(c, request("v1"))
		select {
		case <-closed:
		case <-time.After(time.Hour):
			require.Fail(t, "it waits for itself")
		}
	})
}

func TestWhatARunLeavesBehindDelaysNobody(t *testing.T) { // A1
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 1
		c := w.controller()
		w.rolls(c, request("v1"))
		w.rolls(c, request("v2"))
		w.router.open["http://v1-1"] = true // which is kept, and then not any more
		r := request("v3")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
		begun := time.Now()
		run := w.rolls(c, r)
		require.Less(t, time.Since(begun), 10*time.Second)
		begun = time.Now()
		back, err := c.Rollback(t.Context(), run.ID, ann)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), time.Second)
		_, err = c.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		require.Equal(t, "v2 100", shares(w.router.table(web).Split))
		w.until("nothing of it is left", func() bool {
			_, all := w.fleet.count("v1")
			return all == 0
		})
	})
}

func TestTheLastEventOfARunIsItsEnd(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.rolls(c, request("v2"))
		run := w.rolls(c, request("v3"))
		w.until("nothing of it is left", func() bool {
			svc, err := w.db.Rollouts().Service(t.Context(), web)
			return err == nil && len(svc.Revisions) == 2
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var kinds []rollout.EventKind
		for e, err := range c.Watch(ctx, run.Seq-1) {
			if err == nil && e.Run == run.ID {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Equal(t, rollout.EventEnded, kinds[len(kinds)-1])
	})
}
