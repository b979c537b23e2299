package rollout_test

import (
	"errors"
	"testing"
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
