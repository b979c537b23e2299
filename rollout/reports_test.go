package rollout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// What users of other systems have met.

func TestACancelAfterAPromoteIsNoLessACancel(t *testing.T) { // argo-rollouts#4461
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.fleet.sick["v2"] = "sick"
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateHealthWait)
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		time.Sleep(5 * time.Second)
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		begun := time.Now()
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.Less(t, time.Since(begun), 5*time.Second)
		_, all := w.fleet.count("v2")
		require.Zero(t, all)
	})
}

func TestACancelOfWhatIsDoneChangesNothing(t *testing.T) { // argo-rollouts#1292
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, steps("v1", 3, 100))
		run := w.rolls(c, steps("v2", 3, 100))
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		time.Sleep(time.Hour)
		again, err := c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, run, again)
		ready, _ := w.fleet.count("v2")
		require.Equal(t, 3, ready)
		require.Equal(t, "v2 100", shares(w.router.table(web).Split))
	})
}

func TestWhatWasCancelledOrFailedCanBeTriedAgainAtOnce(t *testing.T) { // argo-rollouts#3120, flagger#1152
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.fleet.slow = 20 * time.Second // what goes is still there
		for range 2 {
			run, err := c.Start(t.Context(), manual("v2"))
			require.NoError(t, err)
			w.state(c, run.ID, rollout.StatePaused)
			require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
			_, err = c.Wait(t.Context(), run.ID)
			require.ErrorIs(t, err, rollout.ErrCancelled)
		}
		w.router.rate, w.router.bad = 100, map[string]float64{"v2": 0.5}
		_, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		w.router.rate, w.router.bad = 0, nil
		w.rolls(c, request("v2"))
		require.Equal(t, "v2 100", shares(w.router.table(web).Split))
	})
}

func TestWhoComesInsteadWaitsUntilTheOldOneBearsAll(t *testing.T) { // flagger#635
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
		w.fleet.locked(func() { w.fleet.startUp = 30 * time.Second })
		instead := steps("v3", 4, 50, 100)
		instead.Supersede = true
		w.rolls(c, instead)
		require.Equal(t, "v3 100", shares(w.router.table(web).Split))
	})
}

func TestAPromotionThatCannotBeBorneGoesBack(t *testing.T) { // flagger#1591
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 4
		c := w.controller()
		w.rolls(c, steps("v1", 4, 100))
		r := steps("v2", 4, 25, 100)
		r.Strategy.Steps[0].Manual = true
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		w.fleet.locked(func() { w.fleet.sick["v2"] = "no room" }) // whatever comes from now on
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		run, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Contains(t, run.Reason, "no room")
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 4, ready)
	})
}

func TestADeadlineDoesNotRunWhileNothingIsWaitedFor(t *testing.T) { // nomad#7058
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, steps("v1", 4, 100))
		r := steps("v2", 4, 25, 100)
		r.Strategy.Deadline = time.Minute
		r.Strategy.Steps[0].Manual = true
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		time.Sleep(5 * time.Hour)
		w.fleet.locked(func() { w.fleet.startUp = 30 * time.Second })
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestWhatCouldNotBePlacedAtFirstGoesOnByItself(t *testing.T) { // nomad#20308
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		full := time.Now().Add(time.Minute)
		w.fleet.refuses = func(rollout.RevisionID) error {
			if time.Now().Before(full) {
				return errors.New("no machine has room")
			}
			return nil
		}
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		run, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.NotContains(t, states(run), rollout.StatePaused)
	})
}
