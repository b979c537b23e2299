package updatetest

import (
	"context"
	"fmt"
	"iter"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update"
)

// runs are all of the history.
func (t *journalTest) runs() suitetest.List[update.Run] {
	return suitetest.List[update.Run]{
		TB: t,
		History: func(ctx context.Context, after string) iter.Seq2[update.Run, error] {
			return t.History(ctx, update.Query{After: after})
		},
		ID:     func(r update.Run) string { return r.ID },
		Create: func(id string) { t.create(aRun(id)) },
		Save: func(id string) {
			r := t.get(id)
			r.Percent = 50
			t.save(r)
		},
		NotFound: update.ErrNotFound, Many: 300, RealTime: t.realTime,
	}
}

// ofRuns makes a case of this domain of one of every domain's.
func ofRuns(promise func(suitetest.List[update.Run])) func(*journalTest) {
	return func(t *journalTest) { promise(t.runs()) }
}

func selects(t *journalTest) {
	for i, r := range []struct {
		pkg, request string
		state        update.State
	}{
		{"a", "", update.StateRunning},
		{"b", "x", update.StateRollingBack},
		{"a", "x", update.StateSucceeded},
		{"b", "y", update.StateFailed},
		{"a", "y", update.StateRollingBack},
		{"c", "z", update.StateRolledBack},
		{"A", "Z", update.StateCancelled},
	} {
		run := aRun(fmt.Sprint(i))
		run.Package, run.Request.By.RequestID = r.pkg, r.request
		run = t.create(run)
		run.State = r.state
		t.save(run)
	}
	for _, c := range []struct {
		q    update.Query
		want []string
	}{
		{update.Query{}, []string{"6", "5", "4", "3", "2", "1", "0"}},
		{update.Query{Package: "a"}, []string{"4", "2", "0"}},
		{update.Query{Package: "A"}, []string{"6"}},
		{update.Query{Package: "none"}, nil},
		{update.Query{Live: true}, []string{"4", "1", "0"}},
		{update.Query{RequestID: "x"}, []string{"2", "1"}},
		{update.Query{RequestID: "none"}, nil},
		{update.Query{Package: "a", Live: true}, []string{"4", "0"}},
		{update.Query{Package: "a", RequestID: "x"}, []string{"2"}},
		{update.Query{Live: true, RequestID: "x"}, []string{"1"}},
		{update.Query{Package: "a", Live: true, RequestID: "x"}, nil},
		{update.Query{Package: "b", Live: true, RequestID: "x"}, []string{"1"}},
		{update.Query{Package: "a", After: "4"}, []string{"2", "0"}},
		{update.Query{Live: true, After: "4"}, []string{"1", "0"}},
		{update.Query{RequestID: "x", After: "2"}, []string{"1"}},
		{update.Query{Package: "b", Live: true, RequestID: "x", After: "6"}, []string{"1"}},
		{update.Query{After: "0"}, nil},
	} {
		require.Equal(t, c.want, t.list(c.q), "%+v", c.q)
	}
}

func pagesAfterUnselected(t *journalTest) {
	ids := t.runs().Fill(10)
	other := aRun("other package")
	other.Package = "demo/other"
	t.create(other)
	require.Equal(t, ids, t.list(update.Query{Package: "demo/site", After: "other package"}),
		"a list goes on after any run, even one of another package")

	live := update.Query{Package: "demo/site", Live: true}
	live.After = t.list(live)[2]
	r := t.get(live.After)
	r.State = update.StateSucceeded
	t.save(r) // the run has ended between two pages
	require.Equal(t, ids[3:], t.list(live), "a list goes on after a run that is no longer selected")
}

func twoHandlesRuns(t *journalTest) {
	other := t.again()
	want := t.create(fullRun("1"))
	got, err := other.Get(t.Context(), "1")
	require.NoError(t, err, "a run is there for every handle")
	t.requireRun(want, got, "a run is the same for every handle")

	got.Percent = 77
	got, err = other.Save(t.Context(), got, update.Event{Kind: update.EventProgress})
	require.NoError(t, err)
	t.requireRun(got, t.get("1"), "every handle sees the last save")
	earlier, err := other.Create(t.Context(), fullRun("1"))
	require.ErrorIs(t, err, update.ErrExists, "every handle knows the run")
	t.requireRun(got, earlier, "every handle knows the run")

	_, err = other.Create(t.Context(), aRun("2"))
	require.NoError(t, err)
	t.create(aRun("3"))
	require.Equal(t, []string{"3", "2", "1"}, t.list(update.Query{}), "the order is of all handles")
}

func twoHandlesOvertake(t *journalTest) {
	other := t.again()
	mine := t.create(on("1", "core", 5))
	theirs, err := other.Get(t.Context(), "1")
	require.NoError(t, err)
	theirs.Token = 6
	theirs, err = other.Save(t.Context(), theirs)
	require.NoError(t, err)
	_, err = t.Save(t.Context(), mine)
	require.ErrorIs(t, err, update.ErrStale, "another handle has saved the rev")
	theirs.Token = 5
	_, err = t.Save(t.Context(), theirs)
	require.ErrorIs(t, err, update.ErrStale, "another handle has shown the item a greater token")
	_, err = t.Create(t.Context(), on("2", "core", 5))
	require.ErrorIs(t, err, update.ErrStale, "another handle has shown the item a greater token")
}
