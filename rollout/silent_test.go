package rollout_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// leaving is a Router of which so large a part of the requests for a version is
// left by its clients.
type leaving struct {
	*splitter
	part map[string]float64
}

func (l leaving) Stats(ctx context.Context, id rollout.ServiceID) (rollout.Stats, error) {
	s, err := l.splitter.Stats(ctx, id)
	for _, w := range l.table(id).Split.Weights {
		c := s.Revisions[w.Run]
		c.Cancelled = int64(float64(c.Requests) * l.part[w.Version])
		c.Requests -= c.Cancelled
		c.Latency = slices.Clone(c.Latency)
		for i := range c.Latency {
			c.Latency[i].Count -= int64(float64(c.Latency[i].Count) * l.part[w.Version])
		}
		s.Revisions[w.Run] = c
	}
	return s, err
}

func TestARevisionThatClientsOnlyLeaveIsNotPromoted(t *testing.T) {
	t.Parallel()
	once := []rollout.Step{{Percent: 100}}
	twice := []rollout.Step{{Percent: 50}, {Percent: 100}}
	for name, tt := range map[string]struct {
		v1, v2   float64 // part of those who leave
		strategy rollout.Strategy
		paused   int    // the step; -1: it is promoted
		says     string // of one that is
	}{
		"none is answered":                {0, 1, rollout.Strategy{}, 2, ""},
		"one of ten is answered":          {0, 0.9, rollout.Strategy{}, 2, ""},
		"in the one step, which pauses":   {0, 1, rollout.Strategy{Steps: once, Limits: rollout.Limits{Inconclusive: 1}}, 0, ""},
		"in the one step":                 {0, 1, rollout.Strategy{Steps: once}, -1, "without a verdict: analysis \"traffic\": 6000 clients left, 0"},
		"a third leaves":                  {0, 0.3, rollout.Strategy{}, -1, ""},
		"all leave the stable too":        {1, 1, rollout.Strategy{Limits: rollout.Limits{Inconclusive: 1}}, -1, "nothing was judged"},
		"nearly all leave the stable too": {0.99, 1, rollout.Strategy{Steps: twice}, -1, "without a verdict: analysis \"traffic\": 0 requests, 50"},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				w.router.asks(100, 0)
				c := w.controller(func(c *rollout.Config) {
					c.Router = leaving{w.router, map[string]float64{"v1": tt.v1, "v2": tt.v2}}
				})
				w.rolls(c, request("v1"))
				r := request("v2")
				r.Strategy = &tt.strategy
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				time.Sleep(15 * time.Minute)
				synctest.Wait()
				run, err = c.Get(t.Context(), run.ID)
				require.NoError(t, err)
				if tt.paused < 0 {
					require.Equal(t, rollout.StateSucceeded, run.State, run.Reason)
					require.Contains(t, run.Reason, tt.says)
					require.Equal(t, tt.says == "", run.Reason == "", run.Reason)
					return
				}
				require.Equal(t, rollout.StatePaused, run.State)
				require.Equal(t, tt.paused, run.Step)
				require.Contains(t, run.Reason, "clients left")
				require.NoError(t, c.Resume(t.Context(), run.ID, run.Step, ann))
				run, err = c.Wait(t.Context(), run.ID)
				require.NoError(t, err, "who goes on has seen it")
				require.Contains(t, run.Reason, "promoted without a verdict")
			})
		})
	}
}
