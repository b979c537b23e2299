package rollout_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// clinging is a Deployer that cannot stop one version.
type clinging struct {
	*fleet
	version func() string
	err     error // that Stop returns
}

func (c clinging) Stop(ctx context.Context, id rollout.RevisionID, ids []string, grace time.Duration) error {
	if id.Version == c.version() {
		return c.err
	}
	return c.fleet.Stop(ctx, id, ids, grace)
}

// clings runs f with a Controller whose Deployer cannot stop a version, in both
// ways, and beside it what sets that version.
func clings(t *testing.T, f func(t *testing.T, w *world, c *rollout.Controller, stays func(version string))) {
	t.Helper()
	for name, err := range map[string]error{"Stop fails": errDown, "Stop does nothing": nil} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				version := ""
				stays := func(v string) { w.fleet.locked(func() { version = v }) }
				c := w.controller(func(config *rollout.Config) {
					config.Deployer = clinging{w.fleet, func() (v string) { w.fleet.locked(func() { v = version }); return v }, err}
				})
				w.tend(c)
				w.rolls(c, request("v1"))
				dark := request("v2")
				dark.Share = new(0)
				w.rolls(c, dark)
				f(t, w, c, stays)
			})
		})
	}
}

func TestAChangeWaitsForNoReplicaThatItLeavesAlone(t *testing.T) {
	t.Parallel()
	clings(t, func(t *testing.T, w *world, c *rollout.Controller, stays func(string)) {
		stays("v1")
		r := request("v3")
		r.Replace = "v1"
		r.Strategy = &rollout.Strategy{KeepOld: -1, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
		w.rolls(c, r)
		time.Sleep(3 * time.Minute)
		svc, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		_, all := w.fleet.count("v1")
		require.Equal(t, 1, all, "it does not end")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for i, change := range []func() error{
			func() error { return c.Hold(ctx, web, ann) },
			func() error { return c.Shift(ctx, web, svc.Split, ann) },
			func() error { return c.Remove(ctx, web, "v2", ann) },
		} {
			begun := time.Now()
			require.NoError(t, change(), i)
			require.Less(t, time.Since(begun), 5*time.Second, i)
		}
		require.True(t, w.router.table(web).Held)
		begun := time.Now()
		require.NoError(t, c.Open(ctx, web, ann))
		require.Less(t, time.Since(begun), 5*time.Second)
		_, all = w.fleet.count("v2")
		require.Zero(t, all)
		_, all = w.fleet.count("v1")
		require.Equal(t, 1, all)
		stays("")
		w.until("Run takes it away", func() bool { _, all := w.fleet.count("v1"); return all == 0 })
	})
}

func TestRemoveSaysWhatIsNotGoneAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	clings(t, func(t *testing.T, w *world, c *rollout.Controller, stays func(string)) {
		stays("v2")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 2 {
			begun := time.Now()
			require.Error(t, c.Remove(ctx, web, "v2", ann))
			require.InDelta(t, 90, time.Since(begun).Seconds(), 10)
		}
		stays("")
		require.NoError(t, c.Remove(t.Context(), web, "v2", ann))
		_, all := w.fleet.count("v2")
		require.Zero(t, all)
	})
}

func TestWhoWaitsForWhatItTakesAwayIsInNobodysWay(t *testing.T) {
	t.Parallel()
	clings(t, func(t *testing.T, w *world, c *rollout.Controller, stays func(string)) {
		stays("v2")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		removed := make(chan error, 1)
		go func() { removed <- c.Remove(ctx, web, "v2", ann) }()
		time.Sleep(10 * time.Second)
		begun := time.Now()
		run, err := c.Start(t.Context(), request("v3"))
		require.NoError(t, err)
		require.Less(t, time.Since(begun), 5*time.Second)
		require.NoError(t, <-removed, "it is recorded, and the next goes on with it")
		require.ErrorIs(t, c.Hold(t.Context(), web, ann), rollout.ErrBusy)
		stays("")
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		w.until("it is gone", func() bool { _, all := w.fleet.count("v2"); return all == 0 })
	})
}
