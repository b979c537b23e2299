package lv_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestAStrategyShowsAVersionToWhomItsRulesMatch(t *testing.T) {
	s := newSite(t)
	require.Empty(t, s.shows(lv.View{}))
	s.save("a", "1")
	s.save("b", "1")
	s.publish(lv.Production, "a", "b")
	a2 := s.save("a", "2")
	s.publish("g", "b")
	saved := s.strategy(lv.Strategy{Title: "hi", Target: a2, Rules: greeted, Extra: json.RawMessage(`{"stage":0}`)})
	require.Equal(t, "a", saved.Row)
	require.Equal(t, int64(a2), saved.Priority)

	require.Equal(t, "a=1 b=1", s.shows(lv.View{}), "nobody in particular")
	require.Equal(t, "a=1 b=1", s.shows(lv.View{For: lv.Attributes{}}))
	require.Equal(t, "a=1 b=1", s.shows(lv.View{For: hello("Bye")}))
	require.Equal(t, "a=2 b=1", s.shows(lv.View{For: hello("Hello, world")}))
	require.Equal(t, "a=2 b=1", s.shows(lv.View{Env: "g", For: hello("Hello")}))
	require.Equal(t, "a=2", s.shows(lv.View{For: hello("Hello"), Rows: []string{"a"}}))
	require.Equal(t, "b=1", s.shows(lv.View{For: hello("Hello"), After: "a"}))
	row, err := s.Get(t.Context(), "a", lv.View{For: hello("Hello")})
	require.NoError(t, err)
	require.Equal(t, a2, row.Version)

	fresh := serve(t, lv.Config{VersionStore: s.store})
	read, err := fresh.Get(t.Context(), "a", lv.View{For: hello("Hello")})
	require.NoError(t, err)
	require.Equal(t, row, read)
}

func TestAStrategyMayShowARowThatIsNotPublishedAndHideOneThatIs(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	gone, draft := s.del("a"), s.save("draft", "1")
	s.strategy(lv.Strategy{Target: gone, Rules: greeted})
	s.strategy(lv.Strategy{Target: draft, Rules: greeted})
	for name, site := range map[string]site{"from events": s, "from the store": serve(t, lv.Config{VersionStore: s.store})} {
		require.Equal(t, "a=1", site.shows(lv.View{}), name)
		require.Equal(t, "draft=1", site.shows(lv.View{For: hello("Hello")}), name)
		_, err := site.Get(t.Context(), "a", lv.View{For: hello("Hello")})
		require.ErrorIs(t, err, lv.ErrNotFound, name)
	}
	// What is deleted for good still knows when it was created.
	s.save("b", "1")
	s.del("b")
	old := s.save("b", "2")
	s.del("b")
	s.strategy(lv.Strategy{Target: old, Rules: greeted})
	kept, err := s.Get(t.Context(), "b", lv.View{For: hello("Hello")})
	require.NoError(t, err)
	fresh := serve(t, lv.Config{VersionStore: s.store})
	read, err := fresh.Get(t.Context(), "b", lv.View{For: hello("Hello")})
	require.NoError(t, err)
	require.Equal(t, kept, read)
}

func TestAStrategyIsReplacedAndDeleted(t *testing.T) {
	s := newSite(t)
	a1, b1 := s.save("a", "1"), s.save("b", "1")
	s.save("p", "0")
	p1 := s.save("p", "1")
	s.publish(lv.Production, "p")
	first := s.strategy(lv.Strategy{Target: a1, Rules: greeted})
	require.Equal(t, "a=1 p=1", s.shows(lv.View{For: hello("Hello")}))

	moved := first
	moved.Target, moved.Deleted = p1-1, true // only DeleteStrategy deletes
	moved = s.strategy(moved)
	require.False(t, moved.Deleted)
	require.Equal(t, "p=0", s.shows(lv.View{For: hello("Hello")}), "it left a row that is not published")
	moved.Target, moved.Priority = b1, 0
	moved = s.strategy(moved)
	require.Equal(t, "b=1 p=1", s.shows(lv.View{For: hello("Hello")}), "it left one that is")
	p, err := s.Get(t.Context(), "p", lv.View{For: hello("Hello")})
	require.NoError(t, err)
	require.Equal(t, p1, p.Version)
	_, err = s.SaveStrategy(t.Context(), first, ada)
	require.ErrorIs(t, err, lv.ErrStale, "somebody else has saved it")

	off := moved
	off.Disabled = true
	off = s.strategy(off)
	require.Equal(t, "p=1", s.shows(lv.View{For: hello("Hello")}))
	off.Disabled = false
	s.strategy(off)
	require.Equal(t, "b=1 p=1", s.shows(lv.View{For: hello("Hello")}))

	require.NoError(t, s.DeleteStrategy(t.Context(), off.ID, ada))
	require.Equal(t, "p=1", s.shows(lv.View{For: hello("Hello")}))
	require.NoError(t, s.DeleteStrategy(t.Context(), off.ID, ada), "again")
	all, err := s.Strategies(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	_, err = s.SaveStrategy(t.Context(), off, ada)
	require.ErrorIs(t, err, lv.ErrNotFound)
	_, err = s.SaveStrategy(t.Context(), lv.Strategy{Target: 999, Rules: greeted}, ada)
	require.ErrorIs(t, err, lv.ErrNotFound)
}

func TestTheOrderOfStrategiesIsTheOrderInWhichTheyAreTried(t *testing.T) {
	s := newSite(t)
	a1, a2, a3 := s.save("a", "1"), s.save("a", "2"), s.save("a", "3")
	low := s.strategy(lv.Strategy{Target: a3, Priority: 1, Rules: greeted})
	s.strategy(lv.Strategy{Target: a2, Priority: 5, Rules: greeted})
	newest := s.strategy(lv.Strategy{Target: a1, Priority: 5, Rules: greeted})
	all, err := s.Strategies(t.Context())
	require.NoError(t, err)
	require.Equal(t, newest.ID, all[0].ID)
	require.Equal(t, low.ID, all[2].ID)
	require.Equal(t, "a=1", s.shows(lv.View{For: hello("Hello")}))
	require.Equal(t, "a=1", serve(t, lv.Config{VersionStore: s.store}).shows(lv.View{For: hello("Hello")}))
}

func TestTwoPercentagesOfStrategiesAreIndependent(t *testing.T) {
	s := newSite(t)
	half := lv.Rules{{Relation: lv.RelationPercent, Value: lv.Percentage{Percent: 50, By: "user.id"}}}
	s.strategy(lv.Strategy{Target: s.save("a", "1"), Rules: half})
	s.strategy(lv.Strategy{Target: s.save("b", "1"), Rules: half})
	seen := map[string]int{}
	for id := range 400 {
		seen[s.shows(lv.View{For: lv.Attributes{"user.id": string(rune('a' + id))}})]++
	}
	for _, rows := range []string{"", "a=1", "b=1", "a=1 b=1"} {
		require.Greater(t, seen[rows], 50, "of 400 visitors, %q", rows)
	}
}

func TestAStrategyThatCannotBeUsedIsInertAndReported(t *testing.T) {
	var log bytes.Buffer
	store := memory.New().Versions()
	s := serve(t, lv.Config{VersionStore: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a1 := s.save("a", "1")
	require.Empty(t, s.shows(lv.View{}))
	// Another release of the library knows more relations.
	later := lv.Strategy{Target: a1, Rules: lv.Rules{{Field: "x", Relation: "near", Value: "y"}}}
	_, err := store.PutStrategy(t.Context(), s.ID, later, ada)
	require.NoError(t, err)
	s.strategy(lv.Strategy{Target: a1, Rules: is("known", "y")})
	require.Empty(t, s.shows(lv.View{For: lv.Attributes{"x": "y"}}))
	require.Equal(t, "a=1", s.shows(lv.View{For: lv.Attributes{"known": "y"}}))
	require.Contains(t, log.String(), "unknown relation")

	log.Reset()
	fresh := serve(t, lv.Config{VersionStore: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Equal(t, "a=1", fresh.shows(lv.View{For: lv.Attributes{"known": "y"}}))
	require.Contains(t, log.String(), "unknown relation")
}
