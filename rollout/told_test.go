package rollout_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestARunThatGoesBackInPartsKeepsItsReason(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 4
		c := w.controller()
		w.rolls(c, steps("v1", 4, 100))
		r := steps("v2", 4, 75, 100)
		r.Strategy.Steps[0].Manual = true
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		w.fleet.locked(func() { w.fleet.startUp = 20 * time.Second })
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		run = w.state(c, run.ID, rollout.StateRollingBack)
		w.until("a part of the way", func() bool { return shares(w.router.table(web).Split) != "v1 25 v2 75" })
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, "by ann: because", run.Reason)
		run, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.Equal(t, "by ann: because", run.Reason)
	})
}

func TestAStateIsToldOnceAndWhatChangesWithinItIsProgress(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, steps("v1", 4, 100))
		run := w.rolls(c, steps("v2", 4, 25, 100))
		type place struct {
			state rollout.State
			step  int
		}
		var last place
		progress := false
		for e, err := range c.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			if e.Kind == rollout.EventState {
				require.NotEqual(t, last, place{e.State, e.Step}, "%+v", e)
				last = place{e.State, e.Step}
			}
			progress = progress || e.Kind == rollout.EventProgress && e.Message == "v1 75 % with 3 replicas, v2 25 % with 1 replica"
		}
		require.True(t, progress)
	})
}

func TestWhatIsToldEndsWithNoSpace(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		r := request("v1")
		r.By = rollout.By{}
		w.rolls(c, r)
		w.router.asks(100, 0)
		r = manual("v2")
		r.By = rollout.By{}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		run = w.state(c, run.ID, rollout.StatePaused)
		require.NoError(t, c.Promote(t.Context(), run.ID, rollout.By{}))
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.NoError(t, c.Hold(t.Context(), web, rollout.By{}))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		told := map[rollout.EventKind]bool{}
		for e, err := range c.Watch(ctx, 0) {
			if err != nil {
				break
			}
			require.Equal(t, strings.TrimSpace(e.Message), e.Message, "%+v", e)
			told[e.Kind] = true
		}
		for _, kind := range []rollout.EventKind{rollout.EventStarted, rollout.EventMeasurement, rollout.EventWish, rollout.EventService} {
			require.True(t, told[kind], kind)
		}
	})
}
