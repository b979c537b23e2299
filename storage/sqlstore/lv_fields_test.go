package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// Of a record of lv no field is forgotten: what is written comes back from the
// call, from a call that repeats it, and from the lists, with nothing left out
// but what a test names.

var fieldsTable = lv.TableID{App: "app", Schema: "fields"}

// openFields returns a store that has two versions of a row.
func openFields(t *testing.T) (s lv.VersionStore, v []lv.Version) {
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s = db.Versions()
	for _, content := range []string{`{"n":1}`, `{"n":2}`} {
		saved, err := s.Write(t.Context(), fieldsTable, []lv.Edit{{Op: lv.OpSave, Row: "a", Content: []byte(content)}}, lv.By{})
		require.NoError(t, err)
		v = append(v, saved...)
	}
	return s, v
}

// twice makes a call twice, and returns what both answer.
func twice[T any](t *testing.T, call func() (T, error)) T {
	first, err := call()
	require.NoError(t, err)
	again, err := call()
	require.NoError(t, err)
	require.Equal(t, first, again)
	return first
}

func newestOf[T any](t *testing.T, all func(func(T, error) bool)) (newest T) {
	for one, err := range all {
		require.NoError(t, err)
		return one
	}
	require.Fail(t, "the list is empty")
	return newest
}

func TestNoFieldOfAVersionIsForgotten(t *testing.T) {
	s, v := openFields(t)
	by := filltest.New[lv.By]()
	got := twice(t, func() ([]lv.Version, error) {
		return s.Write(t.Context(), fieldsTable, []lv.Edit{{Op: lv.OpRestore, Version: v[0].ID}}, by)
	})[0]
	require.Equal(t, []string{"Live"}, filltest.Zeros(got))
	require.Equal(t, by, got.By)
	_, err := s.PutRelease(t.Context(), fieldsTable, lv.Release{
		Env: "gray", State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", Working: true}},
	}, by)
	require.ErrorIs(t, err, lv.ErrStale, "the request was another one")
	by.RequestID = "another"
	_, err = s.PutRelease(t.Context(), fieldsTable, lv.Release{
		Env: "gray", State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", Working: true}},
	}, by)
	require.NoError(t, err)
	got.Live = []lv.Env{"gray"}
	require.Equal(t, got, newestOf(t, s.Versions(t.Context(), fieldsTable, lv.Query{})))

	row := newestOf(t, s.Rows(t.Context(), fieldsTable, lv.View{Working: true}))
	require.Equal(t, []string{"Corrupt"}, filltest.Zeros(row))
}

func TestNoFieldOfAReleaseIsForgotten(t *testing.T) {
	s, v := openFields(t)
	put := func(r lv.Release, by lv.By) lv.Release {
		return twice(t, func() (lv.Release, error) { return s.PutRelease(t.Context(), fieldsTable, r, by) })
	}
	put(lv.Release{Env: "gray", State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", To: v[0].ID}}}, lv.By{RequestID: "before"})
	given := filltest.New[lv.Release]()
	given.ID, given.State = 0, lv.ReleaseScheduled
	given.Env, given.Changes = "gray", []lv.Change{{Row: "a", To: v[1].ID, Expect: &v[0].ID}}
	plan := put(given, given.By)
	given.ID, given.Last, given.CreatedAt, given.AppliedAt, given.Seq, given.Rev = plan.ID, given.By, plan.CreatedAt, plan.AppliedAt, 0, 1
	require.Equal(t, given, plan, "what the caller says is kept")
	require.Equal(t, plan, newestOf(t, s.Releases(t.Context(), fieldsTable, lv.Query{})))

	plan.State = lv.ReleaseApplied
	last := lv.By{Actor: "last", Reason: "it is time", RequestID: "apply"}
	applied := put(plan, last)
	require.Equal(t, []lv.By{plan.By, last}, []lv.By{applied.By, applied.Last})
	require.Equal(t, []string{
		"Changes.After", "Changes.Working",
	}, filltest.Zeros(applied), "but for what a release does not keep of its changes")
	require.Equal(t, applied, newestOf(t, s.Releases(t.Context(), fieldsTable, lv.Query{})))
}

func TestNoFieldOfAStrategyIsForgotten(t *testing.T) {
	s, v := openFields(t)
	put := func(given lv.Strategy) lv.Strategy {
		return twice(t, func() (lv.Strategy, error) { return s.PutStrategy(t.Context(), fieldsTable, given, given.By) })
	}
	given := filltest.New[lv.Strategy](func(n int) any { return lv.Percentage{Percent: float64(n), By: "user.id", Seed: "seed"} })
	given.ID, given.Target, given.Deleted, given.Corrupt = 0, v[0].ID, false, false
	got := put(given)
	given.ID, given.Row, given.Rev, given.Seq = got.ID, "a", 1, got.Seq
	require.Equal(t, given, got)
	require.Equal(t, []string{"Rules.Rules.Rules", "Deleted", "Corrupt"}, filltest.Zeros(got), "but for what it is not")
	info := newestOf(t, s.Tables(t.Context(), fieldsTable))
	require.Equal(t, []lv.Strategy{got}, info.Strategies)

	got.Deleted, got.By.RequestID = true, "deletion"
	deleted := put(got)
	got.Rev, got.Seq = 2, deleted.Seq
	require.Equal(t, got, deleted)
	event := newestOf(t, s.Watch(t.Context(), got.Seq-1))
	require.Equal(t, &got, event.Strategy)
}

func TestNoFieldOfAnEventOrATableIsForgotten(t *testing.T) {
	s, v := openFields(t)
	by := filltest.New[lv.By]()
	for _, to := range v {
		_, err := s.PutRelease(t.Context(), fieldsTable, lv.Release{
			Env: "gray", State: lv.ReleaseApplied, Changes: []lv.Change{{Row: "a", To: to.ID}},
		}, lv.By{Actor: by.Actor})
		require.NoError(t, err)
	}
	strategy, err := s.PutStrategy(t.Context(), fieldsTable, lv.Strategy{Target: v[0].ID, Rules: filltest.New[lv.Rules](func(int) any { return "x" })}, by)
	require.NoError(t, err)

	of := []string{"Rows.Corrupt"}
	released := newestOf(t, s.Watch(t.Context(), strategy.Seq-2))
	require.Equal(t, append(of, "Strategy"), filltest.Zeros(released))
	decided := newestOf(t, s.Watch(t.Context(), strategy.Seq-1))
	require.Equal(t, &strategy, decided.Strategy)
	decided.Strategy = nil
	require.Equal(t, append([]string{"Env", "Release", "Rows.From"}, append(of, "Strategy")...), filltest.Zeros(decided))

	info := newestOf(t, s.Tables(t.Context(), fieldsTable))
	info.Strategies = nil
	require.Equal(t, []string{"Strategies"}, filltest.Zeros(info))
}
