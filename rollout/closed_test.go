package rollout_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestOnceItIsShutDownAControllerReadsAndWritesWishesAlone(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := w.rolls(c, request("v1"))
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Manual: true}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		require.NoError(t, c.Shutdown(t.Context()))

		ctx := t.Context()
		_, started := c.Start(ctx, request("v3"))
		_, waited := c.Wait(ctx, run.ID)
		_, undone := c.Rollback(ctx, first.ID, ann)
		for what, err := range map[string]error{
			"Start": started, "Wait": waited, "Rollback": undone, "Run": c.Run(ctx), "Shift": c.Shift(ctx, web, run.Split, ann),
			"Hold": c.Hold(ctx, web, ann), "Open": c.Open(ctx, web, ann), "Remove": c.Remove(ctx, web, "v1", ann),
		} {
			require.ErrorIs(t, err, rollout.ErrClosed, what)
		}
		_, err = c.Plan(ctx, request("v3"))
		require.NoError(t, err)
		st, err := c.Status(ctx, web)
		require.NoError(t, err)
		require.Equal(t, rollout.StatePaused, st.Run.State)
		require.NoError(t, c.Promote(ctx, run.ID, ann))

		next := w.controller()
		w.tend(next)
		run, err = next.Wait(ctx, run.ID)
		require.NoError(t, err)
		require.Equal(t, "v2 100", run.Split.String(), "as it was wished")
	})
}

func TestRunReturnsTheCauseOfItsEnd(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errDown)
		require.ErrorIs(t, w.controller().Run(ctx), errDown)
	})
}

func TestAConfigNamesAllThatItLacks(t *testing.T) {
	t.Parallel()
	_, err := rollout.New(rollout.Config{})
	require.ErrorIs(t, err, rollout.ErrMissing)
	require.ErrorContains(t, err, "Config.Store, Config.Deployer, Config.Router")
}
