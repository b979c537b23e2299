package lvtest

import (
	"encoding/json"
	"math"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// strategy shows a version to visitors from Nice.
func strategy(v lv.Version) lv.Strategy {
	return lv.Strategy{
		Title: "visitors from Nice", Target: v.ID, Priority: int64(v.ID),
		Rules: lv.Rules{{Object: "user", Field: "city", Relation: lv.RelationEquals, Value: "Nice"}},
	}
}

// putStrategy puts a strategy of pages that must be accepted.
func (t *storeTest) putStrategy(s lv.Strategy) lv.Strategy {
	t.Helper()
	s, err := t.PutStrategy(t.Context(), pages, s, ann)
	require.NoError(t, err, "the strategy must be accepted")
	return s
}

// refusedStrategy checks that a strategy is refused with target.
func (t *storeTest) refusedStrategy(target error, why string, s lv.Strategy) {
	t.Helper()
	t.refused(target, why, func() error {
		_, err := t.PutStrategy(t.Context(), pages, s, ann)
		return err
	})
}

func strategyReturns(t *storeTest) {
	v := t.save("a", "1")
	want := lv.Strategy{
		Title: "all of it", Target: v.ID, Priority: -3, Disabled: true,
		Rules: lv.Rules{
			{Type: "or", Rules: []lv.Rule{
				{Type: "and", Rules: []lv.Rule{{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "<Hello>"}}},
				{Object: "user", Field: "age", Relation: "gte", Value: 18.5},
				{Object: "user", Field: "staff", Relation: lv.RelationEquals, Value: true},
				{Object: "user", Field: "id", Relation: lv.RelationIn, Value: []string{"7", "8"}},
			}},
			{Relation: lv.RelationPercent, Value: lv.Percentage{Percent: 12.5, By: "user.id", Seed: "s"}},
			{Object: "user", Field: "name", Relation: lv.RelationNotExists},
		},
		Extra: json.RawMessage(`{"stage": 0, "more":[1.0]}`),
		ID:    0, Row: "somebody's", By: lv.By{Actor: "somebody"}, Rev: 7, Seq: 99, // the store's
	}
	why := lv.By{Actor: "ann", Reason: "they like it", RequestID: "nice"}
	got, err := t.PutStrategy(t.Context(), pages, want, why)
	require.NoError(t, err)
	want.ID, want.Row, want.By, want.Rev, want.Seq = got.ID, "a", why, 1, t.info().Seq
	require.Positive(t, want.ID)
	require.Equal(t, want, got, "a strategy comes back as it was written")
	require.Equal(t, []lv.Strategy{want}, t.info().Strategies, "the table has the strategy")
	require.Equal(t, &want, nth(t, 1, t.log()).Strategy, "the event has the strategy")
}

func strategyReplaced(t *storeTest) {
	v, w := t.save("a", "1"), t.save("b", "1")
	s := t.putStrategy(strategy(v))
	next := s
	next.Title, next.Target, next.Disabled, next.Priority = "more", w.ID, true, 3
	next.Rules, next.Extra = lv.Rules{{Relation: lv.RelationPercent, Value: lv.Percentage{Percent: 1}}}, json.RawMessage(`1`)
	got := t.putStrategy(next)
	next.Row, next.Rev, next.Seq = "b", 2, t.info().Seq
	require.Equal(t, next, got, "a write replaces the strategy")
	require.Equal(t, []lv.Strategy{next}, t.info().Strategies)

	for _, rev := range []int64{s.Rev, 0, -1, got.Rev + 1} {
		stale := got
		stale.Rev = rev
		t.refusedStrategy(lv.ErrStale, "another rev", stale)
		stale.Deleted = true
		t.refusedStrategy(lv.ErrStale, "another rev", stale)
	}
	for _, id := range []int64{got.ID + 1000, -1, math.MaxInt64} {
		unknown := got
		unknown.ID = id
		t.refusedStrategy(lv.ErrNotFound, "an unknown strategy", unknown)
	}
	t.writeElsewhere("elsewhere")
	elsewhere := strategy(t.writeElsewhere("target"))
	elsewhere.ID, elsewhere.Rev = got.ID, got.Rev
	t.refused(lv.ErrNotFound, "a strategy of another table", func() error {
		_, err := t.PutStrategy(t.Context(), banners, elsewhere, ann)
		return err
	})
}

func strategyTargets(t *storeTest) {
	v := t.save("a", "1")
	s := t.putStrategy(strategy(v))
	elsewhere := t.writeElsewhere("elsewhere")
	for _, id := range []lv.VersionID{0, -1, elsewhere.ID, v.ID + 1000, math.MaxInt64} {
		bad := strategy(v)
		bad.Target = id
		t.refusedStrategy(lv.ErrNotFound, "no version of the table", bad)
		bad.ID, bad.Rev = s.ID, s.Rev
		t.refusedStrategy(lv.ErrNotFound, "no version of the table", bad)
	}
	deletion := t.remove("a")
	require.Equal(t, "a", t.putStrategy(strategy(deletion)).Row, "a strategy may show a deletion")
}

func strategyOrder(t *storeTest) {
	a, b := t.save("a", "1"), t.save("b", "1")
	put := func(v lv.Version, priority int64) lv.Strategy {
		s := strategy(v)
		s.Priority = priority
		return t.putStrategy(s)
	}
	three, ten, minus, three2, least, ten2, most := put(a, 3), put(b, 10), put(a, -1), put(b, 3), put(a, math.MinInt64), put(a, 10), put(b, math.MaxInt64)
	require.Equal(t, []lv.Strategy{most, ten2, ten, three2, three, minus, least}, t.info().Strategies,
		"the greatest priority comes first, then the newest")
	three.Disabled = true
	three = t.putStrategy(three)
	minus.Priority = 4
	minus = t.putStrategy(minus)
	require.Equal(t, []lv.Strategy{most, ten2, ten, minus, three2, three, least}, t.info().Strategies,
		"a change makes a strategy no newer, and a disabled one is listed")
}

func strategyDeleted(t *storeTest) {
	v := t.save("a", "1")
	kept, gone := t.putStrategy(strategy(v)), t.putStrategy(strategy(v))
	gone.Deleted = true
	deleted := t.putStrategy(gone)
	require.True(t, deleted.Deleted)
	require.Equal(t, gone.Rev+1, deleted.Rev)
	require.Equal(t, []lv.Strategy{kept}, t.info().Strategies, "a deleted strategy is gone")
	for _, again := range []bool{true, false} {
		s := deleted
		s.Deleted = again
		t.refusedStrategy(lv.ErrNotFound, "a deleted strategy is gone", s)
	}
	require.Greater(t, t.putStrategy(strategy(v)).ID, deleted.ID, "ids are not used again")
	require.Equal(t, nth(t, 0, collect(t, t.VersionStore, deleted.Seq-1, 1)).Strategy, &deleted, "the event has the deleted strategy")
}

func repeatedStrategy(t *storeTest) {
	v := t.save("a", "1")
	by := lv.By{Actor: "ann", RequestID: "1"}
	bad := strategy(v)
	bad.Target = 0
	t.refused(lv.ErrNotFound, "a bad strategy", func() error {
		_, err := t.PutStrategy(t.Context(), pages, bad, by)
		return err
	})
	s, err := t.PutStrategy(t.Context(), pages, strategy(v), by)
	require.NoError(t, err, "what was refused can be asked again")
	t.unchanged(func() {
		again, err := t.PutStrategy(t.Context(), pages, strategy(v), by)
		require.NoError(t, err)
		require.Equal(t, s, again, "a repeated request returns the first answer")
	})
	by.RequestID = "2"
	other, err := t.PutStrategy(t.Context(), pages, strategy(v), by)
	require.NoError(t, err)
	require.NotEqual(t, s.ID, other.ID, "another request is another strategy")
}
