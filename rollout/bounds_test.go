package rollout_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestWhatAfterFailsAtIsNoted(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		ran := 0
		c := w.controller(func(config *rollout.Config) {
			config.After = []rollout.Hook{
				{Name: "purge", Do: func(context.Context, rollout.Run) error { return errors.New("the cache is down") }},
				{Name: "tell", Do: func(context.Context, rollout.Run) error { ran++; return nil }},
			}
		})
		w.rolls(c, request("v1"))
		run := w.rolls(c, request("v2"))
		require.Equal(t, "v2 100", shares(run.Split))
		require.Equal(t, 2, ran)
		noted := 0
		for e, err := range c.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			if e.Message == `hook after/purge has failed: hook "purge": the cache is down` {
				noted++
			}
		}
		require.Equal(t, 1, noted)
		back, err := c.Rollback(t.Context(), run.ID, ann)
		require.NoError(t, err)
		_, err = c.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
	})
}

func TestWhatCannotBeStartedInTimeGoesBack(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.fleet.refuses = func(id rollout.RevisionID) error {
			if id.Version == "v2" {
				return errors.New("the image is not there")
			}
			return nil
		}
		begun := time.Now()
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		time.Sleep(11 * time.Minute)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StateRolledBack, run.State)
		require.Contains(t, run.Reason, "the image is not there")
		require.InDelta(t, 600, run.EndedAt.Sub(begun).Seconds(), 5)
	})
}

func TestWhatCannotBeStoppedHoldsNoRunForEver(t *testing.T) {
	t.Parallel()
	alone := rollout.Strategy{Unavailable: 1, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
	for name, tt := range map[string]struct {
		strategy rollout.Strategy
		sick     string
		state    rollout.State
		shares   string
	}{
		"forward":         {rollout.Strategy{Steps: []rollout.Step{{Percent: 100, Hold: -1}}}, "", rollout.StateSucceeded, "v2 100"},
		"back":            {rollout.Strategy{}, "exit 1", rollout.StateRolledBack, "v1 100"},
		"what runs alone": {alone, "", rollout.StateRolledBack, "v1 100"},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				first := request("v1")
				first.Spec.MinReplicas = new(2)
				w.rolls(c, first)
				w.fleet.call = func(name string) error {
					if name == "Stop" {
						return errDown
					}
					return nil
				}
				w.fleet.sick["v2"] = tt.sick
				r := request("v2")
				r.Strategy = &tt.strategy
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				time.Sleep(time.Hour)
				run, err = c.Get(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, tt.state, run.State, run.Reason)
				require.Equal(t, tt.shares, shares(w.router.table(web).Split))
				w.fleet.mu.Lock()
				w.fleet.call = nil
				w.fleet.mu.Unlock()
			})
		})
	}
}
