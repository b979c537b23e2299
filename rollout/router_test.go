package rollout_test

import (
	"strings"
	"testing"
	"time"

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
		"a header that none has":           sticky(rollout.Sticky{Header: "X User"}),
		"a cookie that none has":           sticky(rollout.Sticky{Cookie: "a;b"}),
		"a cookie of two lines":            sticky(rollout.Sticky{Cookie: "a\r\nSet-Cookie", Issue: true}),
		"a cookie with an umlaut":          sticky(rollout.Sticky{Cookie: "ä"}),
		"an endless name of a header":      sticky(rollout.Sticky{Header: strings.Repeat("x", 257)}),
		"an endless name of a cookie":      sticky(rollout.Sticky{Cookie: strings.Repeat("x", 257)}),
		"a cookie of the past":             sticky(rollout.Sticky{Cookie: "x", Issue: true, MaxAge: -time.Second}),
		"a cookie of less than a second":   sticky(rollout.Sticky{Cookie: "x", Issue: true, MaxAge: time.Millisecond}),
		"a cookie for ever":                sticky(rollout.Sticky{Cookie: "x", Issue: true, MaxAge: 401 * 24 * time.Hour}),
		"a path that is none":              with(func(t *rollout.Table) { t.Path = "shop" }),
		"a path that leaves":               with(func(t *rollout.Table) { t.Path = "/shop/../" }),
		"a path with more":                 with(func(t *rollout.Table) { t.Path = "/; Domain=example.com" }),
		"a path of two lines":              with(func(t *rollout.Table) { t.Path = "/\r\n" }),
		"an endpoint that is empty":        with(func(t *rollout.Table) { t.Endpoints["a"] = []string{"http://a", ""} }),
		"endpoints of nobody":              with(func(t *rollout.Table) { t.Endpoints["c"] = []string{"http://c"} }),
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
		"a cookie of a year": sticky(rollout.Sticky{Cookie: "__Host-x", Issue: true, MaxAge: 365 * 24 * time.Hour}),
		"a common endpoint":  with(func(t *rollout.Table) { t.Endpoints["b"] = t.Endpoints["a"] }),
		"a path":             with(func(t *rollout.Table) { t.Path = "/shop%20a/" }),
	} {
		require.NoError(t, table.Check(), name)
	}
}

func TestARefusedTableSaysWhichFieldOfStickyIsWrong(t *testing.T) {
	t.Parallel()
	for field, s := range map[string]rollout.Sticky{
		"Sticky needs":                         {},
		`Sticky has the name "a b"`:            {Header: "a b"},
		"Sticky.Issue needs a Cookie":          {Header: "X", Issue: true},
		"Sticky.MaxAge -1s is not from 1s to ": {Cookie: "x", Issue: true, MaxAge: -time.Second},
		"Sticky.Cookie has 300 bytes, at most": {Cookie: strings.Repeat("x", 300)},
		"Sticky.Header has 300 bytes, at most": {Header: strings.Repeat("x", 300)},
	} {
		require.ErrorContains(t, rollout.Table{Split: rollout.Split{Sticky: &s}}.Check(), field)
	}
}
