package rollout_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// preview returns the split of web with a rule.
func (w *world) preview(rule rollout.Rule) rollout.Split {
	svc, err := w.db.Rollouts().Service(w.t.Context(), web)
	require.NoError(w.t, err)
	rule.Match = rollout.Match{Header: "X-Beta", Value: "1"}
	split := svc.Split.Clone()
	split.Rules = []rollout.Rule{rule}
	return split
}

func TestRemoveLeavesWhatARuleSendsRequestsTo(t *testing.T) {
	t.Parallel()
	for _, tends := range []bool{true, false} {
		passes(t, func(t *testing.T, w *world) {
			c := w.controller()
			if tends {
				w.tend(c)
			}
			w.rolls(c, request("v1"))
			dark := request("v2")
			dark.Share = new(0)
			run := w.rolls(c, dark)
			for _, rule := range []rollout.Rule{{Run: run.ID}, {Version: "v2"}, {Version: "v2", Run: run.ID}} {
				require.NoError(t, c.Shift(t.Context(), web, w.preview(rule), ann))
				require.ErrorIs(t, c.Remove(t.Context(), web, "v2", ann), rollout.ErrInvalid, "%+v", rule)
				rules := w.router.table(web).Split.Rules
				require.Len(t, rules, 1)
				require.Equal(t, "v2", rules[0].Version)
				require.Equal(t, run.ID, rules[0].Run)
			}
			require.Len(t, w.router.table(web).Endpoints[run.ID], 1)
			svc, err := w.db.Rollouts().Service(t.Context(), web)
			require.NoError(t, err)
			svc = svc.Clone()
			svc.Split.Rules[0].Version = "" // as an earlier record may be
			_, err = w.db.Rollouts().Save(t.Context(), rollout.Transition{Service: &svc})
			require.NoError(t, err)
			synctest.Wait()
			require.ErrorIs(t, c.Remove(t.Context(), web, "v2", ann), rollout.ErrInvalid)
			split := w.preview(rollout.Rule{})
			split.Rules = nil
			require.NoError(t, c.Shift(t.Context(), web, split, ann))
			require.NoError(t, c.Remove(t.Context(), web, "v2", ann))
			table := w.router.table(web)
			require.Len(t, table.Split.Weights, 1, "the Router is told at once")
			require.NotContains(t, table.Endpoints, run.ID)
		})
	}
}

func TestARuleOfWhatIsGoneLeavesTheRouterToo(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller() // without Run
		first := w.rolls(c, request("v1"))
		require.NoError(t, c.Shift(t.Context(), web, w.preview(rollout.Rule{Run: first.ID}), ann))
		r := request("v2")
		r.Strategy = &rollout.Strategy{KeepOld: -1, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
		w.rolls(c, r)
		time.Sleep(time.Minute)
		synctest.Wait()
		_, all := w.fleet.count("v1")
		require.Zero(t, all)
		table := w.router.table(web)
		require.Empty(t, table.Split.Rules)
		require.Equal(t, "v2 100", shares(table.Split))
	})
}

func TestARuleForAVersionIsForItsNextContentToo(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		w.rolls(c, request("v1"))
		require.NoError(t, c.Shift(t.Context(), web, w.preview(rollout.Rule{Version: "v1"}), ann))
		r := request("v1")
		r.Spec.Command = []string{"another"}
		r.Strategy = &rollout.Strategy{KeepOld: -1, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
		run := w.rolls(c, r)
		time.Sleep(time.Minute)
		synctest.Wait()
		rules := w.router.table(web).Split.Rules
		require.Len(t, rules, 1)
		require.Equal(t, run.ID, rules[0].Run)
	})
}
