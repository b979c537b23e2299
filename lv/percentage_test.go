package lv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestBucketsNeverChange(t *testing.T) {
	for _, v := range []struct {
		seed, id string
		bucket   int
	}{
		{"", "", 2267},
		{"", "u1", 3404},
		{"1", "u1", 2990},
		{"2", "u1", 5248},
		{"1", "u2", 1289},
		{"1", "42", 1334},
		{"42", "1", 1170},
		{"banner-2026", "user@example.com", 5946},
		{"7", "操作人", 1249},
		{"7", "😀", 2524},
		{"a", "bc", 2375},
		{"ab", "c", 5309},
		{"1", "9007199254740993", 7973},
		{"1", strings.Repeat("x", 100), 5712},
	} {
		require.Equal(t, v.bucket, lv.Bucket(v.seed, v.id), "%q %q", v.seed, v.id)
	}
}

func percent(p float64, seed string) lv.Rules {
	return lv.Rules{{Relation: lv.RelationPercent, Value: lv.Percentage{Percent: p, By: "user.id", Seed: seed}}}
}

func TestAPercentageOnlyGainsVisitors(t *testing.T) {
	match := make([]func(lv.Attributes) bool, 0, 101)
	for p := range 101 {
		match = append(match, compiled(t, percent(float64(p), "s")))
	}
	for id := range 500 {
		visitor := lv.Attributes{"user.id": fmt.Sprint(id)}
		for p := 1; p <= 100; p++ {
			if match[p-1](visitor) {
				require.True(t, match[p](visitor), "visitor %d left at %d percent", id, p)
			}
		}
		require.False(t, match[0](visitor))
		require.True(t, match[100](visitor))
	}
}

func TestAPercentageIsAFairShare(t *testing.T) {
	const visitors = 100_000
	var deciles [10]int
	both := 0
	for id := range visitors {
		name := fmt.Sprintf("user-%d", id)
		first, second := lv.Bucket("1", name), lv.Bucket("2", name)
		deciles[first/1000]++
		if first < 5000 && second < 5000 {
			both++
		}
	}
	for i, n := range deciles {
		require.InDelta(t, visitors/10, n, visitors/10*0.04, "decile %d", i)
	}
	require.InDelta(t, visitors/4, both, visitors/4*0.04, "two halves with their own seeds meet in a quarter")
}

func TestAPercentageHasStepsOfAHundredth(t *testing.T) {
	in := func(p float64) (n int) {
		match := compiled(t, percent(p, "s"))
		for id := range 100_000 {
			if match(lv.Attributes{"user.id": fmt.Sprint(id)}) {
				n++
			}
		}
		return n
	}
	require.InDelta(t, 10, in(0.01), 10)
	require.InDelta(t, 50_000, in(50), 500)
}

func TestAPercentageWithoutASeedIsSeededByWhoCompilesIt(t *testing.T) {
	one, err := percent(50, "").Compile("1")
	require.NoError(t, err)
	two, err := percent(50, "").Compile("2")
	require.NoError(t, err)
	u1 := lv.Attributes{"user.id": "u1"} // in buckets 2990 and 5248
	require.True(t, one(u1))
	require.False(t, two(u1))
	own, err := percent(50, "1").Compile("2")
	require.NoError(t, err)
	require.True(t, own(u1))
}

func TestAStrategyIsTriedOutAsVisitorsAreShownIt(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	strategy := s.strategy(lv.Strategy{Target: s.save("a", "2"), Rules: percent(50, "")})
	for id := range 100 {
		visitor := lv.Attributes{"user.id": fmt.Sprint(id)}
		require.Equal(t, strategy.Match(visitor), s.shows(lv.View{For: visitor}) == "a=2", id)
	}
	require.False(t, lv.Strategy{}.Match(lv.Attributes{}), "without rules it matches nobody")
}

func TestAVisitorWithoutAnIDIsInNoPercentage(t *testing.T) {
	for _, percent := range []float64{0, 1, 5, 50, 99.99, 100} {
		for _, by := range []string{"", "user.email"} {
			for seed := range 300 {
				rules := lv.Rules{{Object: "user", Field: "id", Relation: lv.RelationPercent, Value: lv.Percentage{
					Percent: percent, By: by, Seed: fmt.Sprint(seed),
				}}}
				for _, id := range []string{"", " ", "\t\r\n", "\u00a0", "\u3000 "} {
					visitor := lv.Attributes{"user.id": id, "user.email": id, "user.name": "somebody"}
					require.False(t, rules.Match(visitor), "%v percent of %q, seed %d", percent, id, seed)
				}
				visitor := lv.Attributes{"user.id": "0", "user.email": "0"}
				require.Equal(t, lv.Bucket(fmt.Sprint(seed), "0") < int(percent*100), rules.Match(visitor), "an id of one character is one")
			}
		}
	}
	either := lv.Rules{{Type: "or", Rules: []lv.Rule{
		{Object: "user", Field: "id", Relation: lv.RelationPercent, Value: lv.Percentage{Percent: 100}},
		{Object: "user", Field: "id", Relation: lv.RelationEquals, Value: ""},
	}}}
	require.True(t, either.Match(lv.Attributes{"user.id": ""}), "other relations see what is there")
}

func TestAPercentageIsOfTheRulesAttributeUnlessItNamesOne(t *testing.T) {
	rules := lv.Rules{{Object: "user", Field: "id", Relation: lv.RelationPercent, Value: lv.Percentage{Percent: 100}}}
	require.True(t, rules.Match(lv.Attributes{"user.id": "x"}))
	require.False(t, rules.Match(lv.Attributes{"user.name": "x"}))
}
