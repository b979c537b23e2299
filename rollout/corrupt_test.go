package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// left begins a roll to v2, which the process leaves in its first step, and
// writes what change makes of its record.
func (w *world) left(change func(*rollout.Run)) rollout.Run {
	w.t.Helper()
	c := w.controller()
	w.rolls(c, request("v1"))
	run, err := c.Start(w.t.Context(), request("v2"))
	require.NoError(w.t, err)
	w.state(c, run.ID, rollout.StateAnalysing)
	require.NoError(w.t, c.Close())
	run, err = w.db.Rollouts().Get(w.t.Context(), run.ID)
	require.NoError(w.t, err)
	change(&run)
	_, err = w.db.Rollouts().Save(w.t.Context(), rollout.Transition{Run: &run})
	require.NoError(w.t, err)
	return run
}

func TestALiveRunWithoutItsProgressIsCorruptAndItsServiceServesOn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rollout.Run){
		"none":       func(r *rollout.Run) { r.Progress = nil },
		"no JSON":    func(r *rollout.Run) { r.Progress = []byte(`nonsense`) },
		"of nothing": func(r *rollout.Run) { r.Progress = []byte(`{}`) },
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				run := w.left(change)
				fresh := newSplitter() // of a process that begins now
				next := w.controller(func(c *rollout.Config) { c.Router = fresh })
				w.tend(next)
				time.Sleep(time.Hour)
				require.Equal(t, "v1 90 v2 10", fresh.table(web).Split.String())
				require.Equal(t, w.router.table(web).Endpoints, fresh.table(web).Endpoints)
				_, err := next.Get(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCorrupt)
				_, err = next.Start(t.Context(), request("v3"))
				require.ErrorIs(t, err, rollout.ErrCorrupt)
				r := request("v1")
				r.Service.Name = "shop"
				w.rolls(next, r)
			})
		})
	}
}

func TestAStrategyThatLacksSomethingHasItsDefault(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var was rollout.Strategy
		run := w.left(func(r *rollout.Run) {
			was = r.Strategy
			r.Strategy = rollout.Strategy{Steps: was.Steps, Deadline: was.Deadline, Limits: rollout.Limits{Fail: was.Limits.Fail}}
		})
		run, err := w.controller().Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, was, run.Strategy)
	})
}
