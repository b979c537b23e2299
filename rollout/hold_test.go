package rollout_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestAPauseOfWhatTheGateHoldsIsOnePersonsPause(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} { // before the first step, or a later one
		passes(t, func(t *testing.T, w *world) {
			g := &gate{}
			c, other := w.controller(func(c *rollout.Config) { c.Gate = g.ask }), w.controller()
			w.rolls(c, request("v1"))
			if first {
				g.shut("not now")
			}
			r := request("v2")
			r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Hold: time.Minute}, {Percent: 100, Hold: time.Minute}}}
			run, err := c.Start(t.Context(), r)
			require.NoError(t, err)
			if !first {
				w.state(c, run.ID, rollout.StateAnalysing)
				g.shut("not now")
			}
			run = w.state(c, run.ID, rollout.StatePaused)
			require.Equal(t, "not now", run.Reason)
			require.NoError(t, other.Pause(t.Context(), run.ID, ann))
			g.shut("")
			time.Sleep(time.Hour)
			run, err = c.Get(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, rollout.StatePaused, run.State, "though the Gate is open")
			require.Equal(t, "by ann: because", run.Reason)
			require.Nil(t, run.Wish, "it is met")
			require.NoError(t, other.Pause(t.Context(), run.ID, ann), "it is")
			require.NoError(t, other.Resume(t.Context(), run.ID, run.Step, ann))
			_, err = c.Wait(t.Context(), run.ID)
			require.NoError(t, err)
		})
	}
}

func TestAPauseThatComesWhileTheGateIsAskedCounts(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var c *rollout.Controller
		asked := 0 // by one goroutine at a time
		c = w.controller(func(config *rollout.Config) {
			config.Gate = func(ctx context.Context, run rollout.Run) error {
				if run.Revision.Version == "v1" {
					return nil
				}
				if asked++; asked == 1 {
					return errDown
				}
				return c.Pause(ctx, run.ID, ann) // and the Gate is open
			}
		})
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StatePaused, run.State)
		require.Equal(t, "by ann: because", run.Reason)
		require.Zero(t, run.Step)
		_, all := w.fleet.count("v2")
		require.Zero(t, all, "it has not gone on")
	})
}

func TestWaitThatEndsReturnsTheRunAsItIs(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		require.Equal(t, rollout.StateAccepted, run.State)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		run, err = c.Wait(ctx, run.ID)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, rollout.StatePaused, run.State)
		run, err = c.Wait(ctx, run.ID)
		require.ErrorIs(t, err, context.DeadlineExceeded, "also when it had ended before")
		require.Equal(t, rollout.StatePaused, run.State)
	})
}
