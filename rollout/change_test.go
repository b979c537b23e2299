package rollout_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func nothing(context.Context, rollout.Run) error { return nil }

func TestShiftSetsSharesAndRulesWithoutARun(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		router := newSplitter()
		c, other := w.controller(), w.controller(w.within(&process{at: -1}, router))
		w.tend(c)
		w.tend(other)
		w.rolls(c, request("v1"))
		dark := request("v2")
		dark.Share = new(0)
		w.rolls(c, dark)
		split := rollout.Split{
			Weights: []rollout.Weight{{Version: "v1", Percent: 90}, {Version: "v2", Percent: 10}},
			Rules:   []rollout.Rule{{Version: "v2", Match: rollout.Match{Header: "X-Preview", Value: "yes"}}},
			Sticky:  &rollout.Sticky{Cookie: "revision", Issue: true},
		}
		require.NoError(t, c.Shift(t.Context(), web, split, ann))
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		for _, r := range []*splitter{w.router, router} {
			table := r.table(web)
			require.Equal(t, "v1 90 v2 10", shares(table.Split), "every process has its Router set")
			require.Equal(t, "v2", table.Split.Rules[0].Version)
			require.NotEmpty(t, table.Split.Rules[0].Run)
			require.Equal(t, split.Sticky, table.Split.Sticky)
		}
		for _, bad := range []rollout.Split{
			{Weights: []rollout.Weight{{Version: "v1", Percent: 90}}},
			{Weights: []rollout.Weight{{Version: "v1", Percent: 110}, {Version: "v2", Percent: -10}}},
			{Weights: split.Weights, Rules: []rollout.Rule{{Version: "v2"}}},
			{Weights: append(split.Weights[:1:1], split.Weights[0])},
			{Weights: split.Weights, Sticky: &rollout.Sticky{}},
			{Weights: split.Weights, Sticky: &rollout.Sticky{Cookie: "no name", Issue: true}},
		} {
			require.ErrorIs(t, c.Shift(t.Context(), web, bad, ann), rollout.ErrInvalid)
		}
		require.ErrorIs(t, c.Shift(t.Context(), web, rollout.Split{Weights: []rollout.Weight{{Version: "v9", Percent: 100}}}, ann), rollout.ErrNotFound)
		require.ErrorIs(t, c.Shift(t.Context(), rollout.ServiceID{Name: "none"}, split, ann), rollout.ErrNotFound)
	})
}

func TestHoldMakesRequestsWaitUntilOpen(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		generation := w.router.table(web).Generation
		require.NoError(t, c.Hold(t.Context(), web, ann))
		require.True(t, w.router.table(web).Held)
		require.NoError(t, c.Hold(t.Context(), web, ann))
		require.NoError(t, c.Open(t.Context(), web, ann))
		require.False(t, w.router.table(web).Held)
		require.Equal(t, generation+2, w.router.table(web).Generation)
	})
}

func TestRemoveEndsWhatNobodyIsSentTo(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		w.rolls(c, request("v1"))
		dark := request("v2")
		dark.Share = new(0)
		w.rolls(c, dark)
		require.ErrorIs(t, c.Remove(t.Context(), web, "v1", ann), rollout.ErrInvalid)
		require.ErrorIs(t, c.Remove(t.Context(), web, "v9", ann), rollout.ErrNotFound)
		require.NoError(t, c.Remove(t.Context(), web, "v2", ann))
		_, all := w.fleet.count("v2")
		require.Zero(t, all)
		require.ErrorIs(t, c.Remove(t.Context(), web, "v1", ann), rollout.ErrInvalid, "it serves all of the traffic")
		_, all = w.fleet.count("v1")
		require.NotZero(t, all)
		require.ErrorIs(t, c.Remove(t.Context(), web, "", ann), rollout.ErrNotFound, "nothing is removed by an empty name")
		require.NoError(t, c.RemoveService(t.Context(), web, ann))
		_, all = w.fleet.count("v1")
		require.Zero(t, all)
		_, err := c.Status(t.Context(), web)
		require.ErrorIs(t, err, rollout.ErrNotFound)
		for range c.Services(t.Context(), rollout.ServiceQuery{}) {
			t.Error("there is none")
		}
		require.ErrorIs(t, c.Remove(t.Context(), web, "v1", ann), rollout.ErrNotFound)
		require.Empty(t, w.router.table(web).Endpoints)
		w.rolls(c, request("v1"))
		require.Equal(t, "v1 100", shares(w.router.table(web).Split), "and may come back")
	})
}

func TestAPreviewIsReachedByItsRuleAlone(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		match := rollout.Match{Header: "X-Preview", Value: "yes"}
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Manual: true, Match: []rollout.Match{match}}, {Percent: 100}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		table := w.router.table(web)
		require.Equal(t, "v1 100", shares(table.Split))
		require.Equal(t, run.ID, table.Split.Rules[0].Run)
		require.Len(t, table.Endpoints[run.ID], 1)
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		run, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Empty(t, w.router.table(web).Split.Rules)
		require.Equal(t, "v2 100", shares(run.Split))
	})
}

func TestShutdownLeavesARunBetweenTwoTransitions(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		waiting := make(chan error, 1)
		go func() { _, err := c.Wait(t.Context(), run.ID); waiting <- err }()
		begun := time.Now()
		require.NoError(t, c.Shutdown(t.Context()))
		require.Less(t, time.Since(begun), 2*time.Second)
		require.ErrorIs(t, <-waiting, rollout.ErrClosed)
		_, err = c.Start(t.Context(), request("v3"))
		require.ErrorIs(t, err, rollout.ErrClosed)
		require.ErrorIs(t, c.Run(t.Context()), rollout.ErrClosed)
		require.ErrorIs(t, c.Hold(t.Context(), web, ann), rollout.ErrClosed)

		next := w.controller()
		_, err = next.Start(t.Context(), request("v3"))
		require.ErrorIs(t, err, rollout.ErrBusy, "and takes it up")
		_, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestLogsAreThoseOfTheDeployer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	logs, err := w.controller().Logs(t.Context(), rollout.RevisionID{}, rollout.LogQuery{})
	require.NoError(t, err)
	text, err := io.ReadAll(logs)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(text))
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := rollout.Config{Store: w.db, Deployer: w.fleet, Router: w.router}
	for name, breaks := range map[string]func(*rollout.Config){
		"no store":          func(c *rollout.Config) { c.Store = nil },
		"no deployer":       func(c *rollout.Config) { c.Deployer = nil },
		"no router":         func(c *rollout.Config) { c.Router = nil },
		"a short lease":     func(c *rollout.Config) { c.LockTTL = time.Millisecond },
		"no time to sleep":  func(c *rollout.Config) { c.SleepAfter = -time.Minute },
		"a moment's sleep":  func(c *rollout.Config) { c.SleepAfter = time.Millisecond },
		"an endless day":    func(c *rollout.Config) { c.SleepAfter = 31 * 24 * time.Hour },
		"an analysis":       func(c *rollout.Config) { c.Analyses = []rollout.Analysis{{Name: "x"}} },
		"two hooks, a name": func(c *rollout.Config) { c.After = []rollout.Hook{{Name: "a", Do: nothing}, {Name: "a", Do: nothing}} },
		"a strategy":        func(c *rollout.Config) { c.Strategy.Surge = -1 },
	} {
		bad := good
		breaks(&bad)
		_, err := rollout.New(bad)
		require.ErrorIs(t, err, rollout.ErrInvalid, name)
	}
	c, err := rollout.New(good)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
}
