package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestSlowerRepliesGoBackIfTheyAreSlowerByEnough(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		rate      float64
		old, new  time.Duration
		tolerance rollout.Tolerance
		back      bool
	}{
		"twenty times, but by little":          {100, ms, 20 * ms, rollout.Tolerance{}, false},
		"by much, but of much":                 {100, 200 * ms, 200 * ms, rollout.Tolerance{}, false},
		"by much, and twenty times":            {100, 10 * ms, 200 * ms, rollout.Tolerance{}, true},
		"by what is said to be much":           {100, ms, 20 * ms, rollout.Tolerance{SlowBy: 5 * ms}, true},
		"when nobody wants to know":            {100, ms, 200 * ms, rollout.Tolerance{Slow: -1}, false},
		"of fewer requests than have a p99":    {1.5, 10 * ms, 200 * ms, rollout.Tolerance{Requests: 5}, false},
		"by what is said to be many times":     {100, 10 * ms, 200 * ms, rollout.Tolerance{Slow: 30}, false},
		"by many times, but not by what is to": {100, 10 * ms, 200 * ms, rollout.Tolerance{SlowBy: time.Second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				w.router.mu.Lock()
				w.router.rate, w.router.slow = tt.rate, map[string]time.Duration{"v1": tt.old, "v2": tt.new}
				w.router.mu.Unlock()
				r := request("v2")
				r.Strategy = &rollout.Strategy{Tolerance: tt.tolerance, Steps: []rollout.Step{{Percent: 50}, {Percent: 100}}}
				run, err := c.Roll(t.Context(), r)
				if tt.back {
					require.ErrorIs(t, err, rollout.ErrFailed)
					require.Contains(t, run.Reason, "began later than")
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}

func TestARunThatNobodyAskedForSaysSo(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		require.Empty(t, w.rolls(c, request("v1")).Reason, "there was nothing to be worse than")
		require.Contains(t, w.rolls(c, request("v2")).Reason, "nothing was judged")
		w.router.asks(100, 0)
		require.Empty(t, w.rolls(c, request("v3")).Reason)
		dark := request("v4")
		dark.Share = new(0)
		require.Empty(t, w.rolls(c, dark).Reason)
	})
}

func TestTheFirstVersionDoesNotTakeTheStepsOfAConfig(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller(func(config *rollout.Config) {
			config.Strategy.Steps = []rollout.Step{{Percent: 10}, {Percent: 50}, {Percent: 100}}
		})
		begun := time.Now()
		w.rolls(c, request("v1"))
		require.Less(t, time.Since(begun), time.Minute)
		require.Len(t, w.rolls(c, request("v2")).Strategy.Steps, 3)
	})
}

func TestWhatFailsAmongFewPausesBeforeItsNextStep(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.router.asks(5, 0.5)
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		run = w.state(c, run.ID, rollout.StatePaused)
		require.Zero(t, run.Step)
		require.Contains(t, run.Reason, "failed")
		require.Equal(t, "v1 90 v2 10", shares(w.router.table(web).Split))
	})
}
