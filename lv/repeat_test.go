package lv_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestARequestThatIsRepeatedGetsItsFirstAnswerWhateverHasHappenedSince(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	by := func(id string) lv.By { return lv.By{Actor: "bob", RequestID: id} }
	planned := func(row string) int64 {
		s.save(row, "1")
		return s.plan(lv.Release{Changes: []lv.Change{{Row: row, Working: true}}}).ID
	}
	s.save("a", "1")
	s.publish(lv.Production, "a")
	deletion, late, cancelled, forgotten := s.del("a"), planned("b"), planned("c"), s.save("d", "1")
	s.save("d", "2")
	calls := map[string]func() (lv.Release, error){
		"release":  func() (lv.Release, error) { return s.Release(ctx, lv.Production, by("release"), deletion) },
		"approve":  func() (lv.Release, error) { return s.Approve(ctx, cancelled, by("approve")) },
		"schedule": func() (lv.Release, error) { return s.Schedule(ctx, late, time.Now().Add(time.Hour), by("schedule")) },
		"plan": func() (lv.Release, error) {
			return s.Draft(ctx, lv.Release{Env: "g", Changes: []lv.Change{{To: forgotten}}}, by("plan"))
		},
	}
	s.approve(late)
	first := map[string]lv.Release{}
	for name, call := range calls {
		var err error
		first[name], err = call()
		require.NoError(t, err, name)
	}
	s.save("a", "again")
	_, err := s.Apply(ctx, late, bob)
	require.NoError(t, err)
	require.NoError(t, s.Cancel(ctx, cancelled, bob))
	require.NoError(t, s.Cancel(ctx, first["plan"].ID, bob))
	_, err = s.Edit(ctx, bob, lv.Edit{Op: lv.OpForget, Version: forgotten})
	require.NoError(t, err)
	for name, call := range calls {
		again, err := call()
		require.NoError(t, err, name)
		require.Equal(t, first[name], again, name)
	}
	_, err = s.Release(ctx, lv.Production, by("another"), deletion)
	require.ErrorIs(t, err, lv.ErrStale, "another request is refused")
	_, err = s.Approve(ctx, cancelled, by("and another"))
	require.ErrorIs(t, err, lv.ErrTooLate)
	_, err = s.Approve(ctx, 99, bob)
	require.ErrorIs(t, err, lv.ErrNotFound)
}

func TestARequestThatHasNothingLeftToDoGetsItsFirstAnswer(t *testing.T) {
	s, by := newSite(t), lv.By{Actor: "bob", RequestID: "1"}
	s.save("a", "1")
	draft := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
	approved, err := s.Approve(t.Context(), draft.ID, by)
	require.NoError(t, err)
	scheduled, err := s.Schedule(t.Context(), draft.ID, time.Now().Add(time.Hour), bob)
	require.NoError(t, err)
	again, err := s.Approve(t.Context(), draft.ID, by)
	require.NoError(t, err)
	require.Equal(t, approved, again)
	now, err := s.Approve(t.Context(), draft.ID, bob)
	require.NoError(t, err)
	require.Equal(t, scheduled, now, "another request is told what is there")
}

func TestAStrategyIsNotDeletedByARequestThatWasSomethingElse(t *testing.T) {
	s, by := newSite(t), lv.By{Actor: "bob", RequestID: "1"}
	strategy := s.strategy(lv.Strategy{Target: s.save("a", "1"), Rules: greeted})
	_, err := s.Save(t.Context(), "a", page("2"), by)
	require.NoError(t, err)
	require.ErrorIs(t, s.DeleteStrategy(t.Context(), strategy.ID, by), lv.ErrStale)
	by.RequestID = "2"
	for range 2 {
		require.NoError(t, s.DeleteStrategy(t.Context(), strategy.ID, by))
	}
}

func TestADraftMayTakeARowOutOfAGrayWhateverIsThere(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish("g", "a")
	draft := s.plan(lv.Release{Env: "g", Changes: []lv.Change{{Row: "a", Expect: new(lv.Any)}}})
	s.approve(draft.ID)
	s.save("a", "2")
	s.publish("g", "a")
	_, err := s.Apply(t.Context(), draft.ID, bob)
	require.NoError(t, err)
	require.Empty(t, s.shows(lv.View{Env: "g"}))
}
