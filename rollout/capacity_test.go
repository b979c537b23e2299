package rollout_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// ails makes a replica of a version sick, for reasons of its own.
func (f *fleet) ails(version string) {
	one := true
	f.change(version, func(r *rollout.Replica) {
		if one {
			r.State, r.Failure = rollout.ReplicaFailing, "its disk"
		}
		one = false
	})
}

func TestGoingBackBeforeAnythingHasMovedWaitsForNothing(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := request("v1")
		first.Spec.MinReplicas = new(4)
		w.rolls(c, first)
		w.fleet.ails("v1")
		w.fleet.refuses = func(rollout.RevisionID) error { return errors.Join(rollout.ErrInvalid, errors.New("no such program")) }
		begun := time.Now()
		_, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Less(t, time.Since(begun), time.Minute)
		require.Equal(t, []string{"v1 100"}, w.router.moves())
	})
}

func TestWhatGoesBackLeavesAtOnceWhatTheStableRevisionCanBear(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := request("v1")
		first.Spec.MinReplicas = new(4)
		w.rolls(c, first)
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 50, Manual: true}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		w.fleet.ails("v1")
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		time.Sleep(30 * time.Second)
		require.Equal(t, "v1 75 v2 25", shares(w.router.table(web).Split))
		w.fleet.heal()
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
	})
}

func TestARollbackThatIsCancelledLeavesWhatWasKept(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := request("v1")
		first.Spec.MinReplicas = new(4)
		w.rolls(c, first)
		run := w.rolls(c, request("v2"))
		before, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		w.fleet.startUp = time.Minute
		back, err := c.Rollback(t.Context(), run.ID, ann)
		require.NoError(t, err)
		w.until("more", func() bool { _, all := w.fleet.count("v1"); return all == 4 })
		require.NoError(t, c.Cancel(t.Context(), back.ID, ann))
		_, err = c.Wait(t.Context(), back.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		after, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		require.Equal(t, before.Revisions, after.Revisions)
		require.Equal(t, before.KeptUntil, after.KeptUntil)
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready, "and is there at once")
	})
}

func TestWhatKeepsTheTrafficKeepsItWhenTheOldOneIsWellAgain(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		w.fleet.ails("v1")
		synctest.Wait()
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		run, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.Contains(t, run.Reason, "keeps the traffic")
		w.fleet.heal()
		time.Sleep(time.Minute)
		require.Equal(t, "v2 100", shares(w.router.table(web).Split))
		time.Sleep(time.Hour)
		_, all := w.fleet.count("v1")
		require.Zero(t, all, "it is kept as long as anything is")
	})
}
