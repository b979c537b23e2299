package rollout_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestATableIsRefusedForWhatNoRouterCanDo(t *testing.T) {
	t.Parallel()
	weights := func(w ...rollout.Weight) rollout.Split { return rollout.Split{Weights: w} }
	half := weights(rollout.Weight{Run: "a", Percent: 50}, rollout.Weight{Run: "b", Percent: 50})
	with := func(change func(*rollout.Table)) rollout.Table {
		table := rollout.Table{Split: half, Endpoints: map[string][]string{"a": {"http://a"}}}
		change(&table)
		return table
	}
	rule := func(r rollout.Rule) rollout.Table {
		return with(func(t *rollout.Table) { t.Split.Rules = []rollout.Rule{r} })
	}
	sticky := func(s rollout.Sticky) rollout.Table { return with(func(t *rollout.Table) { t.Split.Sticky = &s }) }
	for name, table := range map[string]rollout.Table{
		"a share without a revision":       {Split: weights(rollout.Weight{Percent: 100})},
		"two shares of a revision":         {Split: weights(half.Weights[0], half.Weights[0])},
		"less than nothing":                {Split: weights(rollout.Weight{Run: "a", Percent: 101}, rollout.Weight{Run: "b", Percent: -1})},
		"a sum of 50":                      {Split: weights(half.Weights[0])},
		"a rule for nobody":                rule(rollout.Rule{Run: "c", Match: rollout.Match{Header: "X"}}),
		"a rule that looks at nothing":     rule(rollout.Rule{Run: "a"}),
		"a rule that looks at two things":  rule(rollout.Rule{Run: "a", Match: rollout.Match{Header: "X", Cookie: "x"}}),
		"visitors who have no name":        sticky(rollout.Sticky{}),
		"visitors who have two names":      sticky(rollout.Sticky{Header: "X", Cookie: "x"}),
		"a header that is issued":          sticky(rollout.Sticky{Header: "X", Issue: true}),
		"endpoints of nobody":              with(func(t *rollout.Table) { t.Endpoints["c"] = []string{"http://c"} }),
		"an endpoint of two revisions":     with(func(t *rollout.Table) { t.Endpoints["b"] = t.Endpoints["a"] }),
		"an endpoint that is listed twice": with(func(t *rollout.Table) { t.Endpoints["a"] = []string{"http://a", "http://a"} }),
	} {
		require.ErrorIs(t, table.Check(), rollout.ErrInvalid, name)
	}
	for name, table := range map[string]rollout.Table{
		"nothing":            {},
		"nothing ready":      {Split: half},
		"half of it ready":   with(func(*rollout.Table) {}),
		"a rule for 0":       {Split: rollout.Split{Weights: []rollout.Weight{{Run: "a", Percent: 100}, {Run: "b"}}, Rules: []rollout.Rule{{Run: "b", Match: rollout.Match{Query: "q"}}}}},
		"an issued cookie":   sticky(rollout.Sticky{Cookie: "x", Issue: true}),
		"a visitor's header": sticky(rollout.Sticky{Header: "X"}),
	} {
		require.NoError(t, table.Check(), name)
	}
}
