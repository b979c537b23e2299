package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestTheFirstVersionTakesAllTrafficOnceItIsReady(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		begun := time.Now()
		run := w.rolls(c, request("v1"))
		require.Equal(t, rollout.StateSucceeded, run.State)
		require.Equal(t, 100, run.Percent)
		require.Equal(t, "v1 100", shares(run.Split))
		require.Equal(t, 4*time.Second, time.Since(begun), "it starts up and is ready for three seconds")
		require.Equal(t, []rollout.State{
			rollout.StateAccepted, rollout.StateBuilding, rollout.StateProvisioning, rollout.StateHealthWait, rollout.StateShifting,
			rollout.StateAnalysing, rollout.StatePromoting, rollout.StateDraining, rollout.StateFinalising, rollout.StateSucceeded,
		}, states(run))
		status, err := c.Status(t.Context(), web)
		require.NoError(t, err)
		require.Equal(t, "v1 100", shares(status.Split))
		require.Equal(t, run.Revision, status.Service.Stable)
		require.Empty(t, status.Service.Untold)
		require.Len(t, status.Replicas, 1)
		require.Nil(t, status.Run)
	})
}

func TestANewVersionGoesAStepAtATime(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 1
		c := w.controller()
		w.tend(c)
		v1 := w.rolls(c, request("v1"))
		begun := time.Now()
		run := w.rolls(c, request("v2"))
		require.Equal(t, v1.Revision, run.From)
		require.Equal(t, []string{"v1 100", "v1 90 v2 10", "v1 50 v2 50", "v2 100"}, w.router.moves())
		require.InDelta(t, 184, time.Since(begun).Seconds(), 1)
		status, err := c.Status(t.Context(), web)
		require.NoError(t, err)
		require.Len(t, status.Replicas, 2, "the old one is kept")
		time.Sleep(9 * time.Minute)
		_, old := w.fleet.count("v1")
		require.Equal(t, 1, old)
		time.Sleep(2 * time.Minute)
		_, old = w.fleet.count("v1")
		require.Zero(t, old, "and then removed")
		status, err = c.Status(t.Context(), web)
		require.NoError(t, err)
		require.Len(t, status.Service.Revisions, 1)
		require.Equal(t, "v2 100", shares(status.Service.Split))
	})
}
