package rollout_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// unbounded is a Router whose last bucket of latency has no bound.
type unbounded struct{ *splitter }

func (u unbounded) Stats(ctx context.Context, id rollout.ServiceID) (rollout.Stats, error) {
	s, err := u.splitter.Stats(ctx, id)
	for run, c := range s.Revisions {
		c.Latency = slices.Clone(c.Latency)
		if n := len(c.Latency); n > 0 {
			c.Latency[n-1].Within = math.MaxInt64
		}
		s.Revisions[run] = c
	}
	return s, err
}

func TestNothingIsLaterThanWhatHasNoBound(t *testing.T) {
	t.Parallel()
	const in, out = 10 * time.Millisecond, 200 * time.Millisecond // the last bucket
	for name, tt := range map[string]struct {
		old, new  time.Duration
		tolerance rollout.Tolerance
		back      bool
	}{
		"both are beyond":                   {out, out, rollout.Tolerance{}, false},
		"the stable revision is beyond":     {out, in, rollout.Tolerance{}, false},
		"the new revision is beyond":        {in, out, rollout.Tolerance{}, true},
		"and may begin as late as can be":   {out, out, rollout.Tolerance{Slow: 1e6, SlowBy: 24 * time.Hour}, false},
		"which is more than what is late":   {in, out, rollout.Tolerance{SlowBy: 24 * time.Hour}, false},
		"which is so many times as what is": {in, out, rollout.Tolerance{Slow: 1e6}, false},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				w.router.asks(100, 0)
				w.router.mu.Lock()
				w.router.slow = map[string]time.Duration{"v1": tt.old, "v2": tt.new}
				w.router.mu.Unlock()
				c := w.controller(func(c *rollout.Config) { c.Router = unbounded{w.router} })
				w.rolls(c, request("v1"))
				r := request("v2")
				r.Strategy = &rollout.Strategy{Tolerance: tt.tolerance}
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
