package lv_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func is(attribute, value string) lv.Rules {
	return lv.Rules{{Field: attribute, Relation: lv.RelationEquals, Value: value}}
}

func TestTheFirstStrategyThatMatchesWins(t *testing.T) {
	strategies := []lv.Strategy{
		{ID: 1, Target: 10, Priority: 5, Rules: is("a", "x")},
		{ID: 2, Target: 20, Priority: 7, Rules: is("b", "x")},
		{ID: 3, Target: 30, Priority: 5, Rules: is("c", "x")},
		{ID: 4, Target: 40, Priority: 9, Rules: is("a", "x"), Disabled: true},
		{ID: 5, Target: 50, Priority: -1, Rules: lv.Rules{{Field: "a", Relation: lv.RelationExists}}},
	}
	for _, indexed := range []bool{false, true} {
		c := lv.NewChoices(indexed, strategies...)
		for _, tt := range []struct {
			name    string
			visitor lv.Attributes
			want    lv.VersionID
		}{
			{"none matches", lv.Attributes{}, 0},
			{"one matches, and the disabled one does not count", lv.Attributes{"a": "x"}, 10},
			{"the higher priority", lv.Attributes{"a": "x", "b": "x"}, 20},
			{"of the same priority the newer", lv.Attributes{"a": "x", "c": "x"}, 30},
			{"the last that is left", lv.Attributes{"a": "y"}, 50},
		} {
			require.Equal(t, tt.want, c.Choose(tt.visitor), "%s, indexed %t", tt.name, indexed)
		}
	}
}

func TestManyStrategiesAreAskedThroughAnIndexAndFewAreNot(t *testing.T) {
	var strategies []lv.Strategy
	for i := range int64(100) {
		strategies = append(strategies, lv.Strategy{ID: i + 1, Target: lv.VersionID(i + 1), Rules: is("a", fmt.Sprint(i))})
	}
	require.False(t, lv.Indexed(strategies[:2]...))
	require.True(t, lv.Indexed(strategies...))
}

func TestTheIndexOfStrategiesFindsWhatALookAtAllFinds(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		text := func(n int) string { return fmt.Sprint(random.IntN(n)) }
		leaf := func() lv.Rule {
			attribute := "a" + text(10) // more than an index has guards for
			switch random.IntN(6) {
			case 0:
				return lv.Rule{Field: attribute, Relation: "in", Value: []string{text(4), text(4)}}
			case 1:
				return lv.Rule{Field: attribute, Relation: "neq", Value: text(4)}
			case 2:
				return lv.Rule{Field: attribute, Relation: "eq", Value: random.IntN(4)}
			case 3:
				return lv.Rule{Field: attribute, Relation: "notExists"}
			}
			return lv.Rule{Field: attribute, Relation: "==", Value: text(4)}
		}
		var strategies []lv.Strategy
		for id := range 40 {
			rules := lv.Rules{leaf()}
			switch random.IntN(4) {
			case 0:
				rules = lv.Rules{leaf(), leaf()}
			case 1:
				rules = lv.Rules{{Type: "and", Rules: []lv.Rule{leaf(), leaf()}}}
			case 2:
				rules = lv.Rules{{Type: "or", Rules: []lv.Rule{leaf(), leaf()}}, leaf()}
			}
			strategies = append(strategies, lv.Strategy{
				ID: int64(id), Target: lv.VersionID(id + 1), Priority: int64(random.IntN(5)), Rules: rules,
			})
		}
		all, indexed := lv.NewChoices(false, strategies...), lv.NewChoices(true, strategies...)
		for range 50 {
			visitor := lv.Attributes{}
			for range random.IntN(8) {
				visitor["a"+text(10)] = text(4)
			}
			require.Equal(t, all.Choose(visitor), indexed.Choose(visitor), "seed %d, %v", seed, visitor)
		}
	}
}

func TestChoosingAStrategyDoesNotAllocate(t *testing.T) {
	var strategies []lv.Strategy
	for id := range 100 {
		strategies = append(strategies,
			lv.Strategy{ID: int64(id), Target: 1, Rules: is("country", fmt.Sprint(id))},
			lv.Strategy{ID: int64(100 + id), Target: 1, Rules: lv.Rules{{Field: "country", Relation: lv.RelationIncludes, Value: fmt.Sprint("no", id)}}})
	}
	c := lv.NewChoices(true, strategies...)
	visitor := lv.Attributes{"country": "0"}
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Choose(visitor) }))
}
