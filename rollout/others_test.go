package rollout_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// acting is a fleet as one process sees it, which counts what that process does.
type acting struct {
	*fleet
	acts atomic.Int64
}

func (a *acting) Ensure(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
	a.acts.Add(1)
	return a.fleet.Ensure(ctx, id, s, n)
}

func (a *acting) Stop(ctx context.Context, id rollout.RevisionID, replicas []string, grace time.Duration) error {
	a.acts.Add(1)
	return a.fleet.Stop(ctx, id, replicas, grace)
}

func TestWhoDoesNotWorkOnARunActsOnNothingAndRoutesAll(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		own, other := newSplitter(), &acting{fleet: w.fleet}
		c := w.controller()
		follower := w.controller(func(c *rollout.Config) { c.Deployer, c.Router = other, own })
		w.tend(follower)
		r := request("v1")
		r.Spec.MinReplicas = new(2)
		w.rolls(c, r)
		time.Sleep(5 * time.Second)
		before := other.acts.Load()
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		time.Sleep(time.Second)
		require.Equal(t, "v1 90 v2 10", own.table(web).Split.String())
		// What dies is made anew by who works on the run.
		w.fleet.kill("v1", 1)
		time.Sleep(10 * time.Second)
		require.Equal(t, w.router.table(web), own.table(web))
		require.Len(t, own.table(web).Endpoints[own.table(web).Split.Weights[0].Run], 2)
		require.Equal(t, before, other.acts.Load(), "who works on it acts")
	})
}
