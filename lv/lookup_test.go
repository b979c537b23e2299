package lv_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestRecordsAreFoundByTheirIDs(t *testing.T) {
	s, ctx := newSite(t), t.Context()
	a1 := s.save("a", "1")
	s.save("a", "2")
	gone := s.del("a")
	release := s.publish("g", "a")
	plan := s.plan(lv.Release{Changes: []lv.Change{{To: a1}}})
	strategy := s.strategy(lv.Strategy{Target: a1, Rules: greeted})
	deleted := s.strategy(lv.Strategy{Target: a1, Rules: greeted})
	require.NoError(t, s.DeleteStrategy(ctx, deleted.ID, ada))

	for id, want := range map[lv.VersionID]lv.Op{a1: lv.OpSave, gone: lv.OpDelete} {
		v, err := s.VersionByID(ctx, id)
		require.NoError(t, err)
		require.Equal(t, []any{id, want, ada}, []any{v.ID, v.Op, v.By})
	}
	for _, want := range []lv.Release{release, plan} {
		r, err := s.ReleaseByID(ctx, want.ID)
		require.NoError(t, err)
		require.Equal(t, []any{want.ID, want.State, want.By}, []any{r.ID, r.State, r.By})
	}
	got, err := s.StrategyByID(ctx, strategy.ID)
	require.NoError(t, err)
	require.Equal(t, strategy, got)

	elsewhere := site{t: t, service: s.service, store: s.store, Table: s.service.Table("app", "elsewhere")}
	other := elsewhere.save("a", "1")
	for _, id := range []int64{0, -1, 1 << 40, math.MinInt64, math.MaxInt64} {
		_, err := s.VersionByID(ctx, lv.VersionID(id))
		require.ErrorIs(t, err, lv.ErrNotFound, "version %d", id)
		_, err = s.StrategyByID(ctx, id)
		require.ErrorIs(t, err, lv.ErrNotFound, "strategy %d", id)
		_, err = s.ReleaseByID(ctx, id)
		require.ErrorIs(t, err, lv.ErrNotFound, "release %d", id)
	}
	_, err = s.VersionByID(ctx, other)
	require.ErrorIs(t, err, lv.ErrNotFound, "a version of another table")
	_, err = elsewhere.ReleaseByID(ctx, plan.ID)
	require.ErrorIs(t, err, lv.ErrNotFound, "a release of another table")
	_, err = elsewhere.StrategyByID(ctx, strategy.ID)
	require.ErrorIs(t, err, lv.ErrNotFound, "a strategy of another table")
	_, err = s.StrategyByID(ctx, deleted.ID)
	require.ErrorIs(t, err, lv.ErrNotFound, "a strategy that was deleted")
}
