package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestAPlanNamesTheRunThatIsInItsWay(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		plan, err := c.Plan(t.Context(), request("v2"))
		require.NoError(t, err)
		require.Empty(t, plan.Live)
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		for _, r := range []rollout.Request{request("v3"), {Service: web}} { // which changes nothing
			plan, err = w.controller().Plan(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, run.ID, plan.Live)
			_, err = c.Start(t.Context(), r)
			require.ErrorIs(t, err, rollout.ErrBusy)
		}
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		plan, err = c.Plan(t.Context(), request("v3"))
		require.NoError(t, err)
		require.Empty(t, plan.Live)
	})
}
