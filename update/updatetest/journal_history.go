package updatetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

// createMany creates n runs and returns their ids, newest first. The order of
// the ids is not that of the runs.
func (t *journalTest) createMany(n int) []string {
	t.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, t.create(aRun(fmt.Sprintf("%x", (i*7+3)%n+1000))).ID)
	}
	slices.Reverse(ids)
	return ids
}

// firstPage returns the first runs that q selects.
func (t *journalTest) firstPage(q update.Query, n int) []string {
	t.Helper()
	var ids []string
	for r, err := range t.History(t.Context(), q) {
		require.NoError(t, err)
		if ids = append(ids, r.ID); len(ids) == n {
			break
		}
	}
	return ids
}

func newestFirst(t *journalTest) {
	require.Empty(t, t.list(update.Query{}), "a new journal has no runs")
	ids := t.createMany(20)
	require.Equal(t, ids, t.list(update.Query{}), "history is newest first")
	time.Sleep(5 * time.Millisecond)
	for _, id := range []string{ids[19], ids[3]} { // a change does not make a run newer
		t.save(t.get(id))
	}
	ids = append([]string{t.create(aRun("newest")).ID}, ids...)
	require.Equal(t, ids, t.list(update.Query{}), "history is newest first, by creation")
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

func pages(t *journalTest) {
	want := t.createMany(300)
	var got []string
	var q update.Query
	for len(got) <= len(want) {
		page := t.firstPage(q, 7)
		got = append(got, page...)
		if len(page) < 7 {
			break
		}
		q.After = page[6]
		t.create(aRun(fmt.Sprint("new ", len(got))))
	}
	require.Equal(t, want, got, "pages join into the list as it was when it was begun")
}

func pagesAfterUnselected(t *journalTest) {
	ids := t.createMany(10)
	other := aRun("other package")
	other.Package = "demo/other"
	t.create(other)
	require.Equal(t, ids, t.list(update.Query{Package: "demo/site", After: "other package"}),
		"a list goes on after any run, even one of another package")

	live := update.Query{Package: "demo/site", Live: true}
	live.After = t.firstPage(live, 3)[2]
	r := t.get(live.After)
	r.State = update.StateSucceeded
	t.save(r) // the run has ended between two pages
	require.Equal(t, ids[3:], t.list(live), "a list goes on after a run that is no longer selected")
}

func pagesAfterUnknown(t *journalTest) {
	t.createMany(3)
	pairs := 0
	for r, err := range t.History(t.Context(), update.Query{After: "unknown"}) {
		pairs++
		require.ErrorIs(t, err, update.ErrNotFound, "there is no such run to go on after")
		require.Zero(t, r)
	}
	require.Equal(t, 1, pairs, "history stops after an error")
}

func historyAgain(t *journalTest) {
	ids := t.createMany(20)
	list := t.History(t.Context(), update.Query{})
	for range 3 {
		n := 0
		for r, err := range list {
			require.NoError(t, err)
			require.Equal(t, ids[n], r.ID, "each range over the list begins anew")
			if n++; n == 5 {
				break
			}
		}
		require.Equal(t, 5, n)
	}
	require.Equal(t, ids, t.list(update.Query{}), "a list that was left does no harm")
}

func historySlowly(t *journalTest) {
	ids := t.createMany(250)
	var got []string
	for r, err := range t.History(t.Context(), update.Query{}) {
		require.NoError(t, err, "a reader may take its time")
		got = append(got, r.ID)
		if len(got)%50 != 1 {
			continue
		}
		if !t.realTime {
			time.Sleep(time.Minute)
		}
		r, err = t.Get(t.Context(), r.ID)
		require.NoError(t, err, "the journal can be read while it is listed")
		r.Percent = 50
		t.save(r)
		t.create(aRun("new " + r.ID))
	}
	require.Equal(t, ids, got, "a list is not disturbed by new runs")
}

func historyContext(t *journalTest) {
	t.createMany(20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range t.History(ctx, update.Query{}) {
		require.NoError(t, last, "an error is the last pair")
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	if n < 20 {
		require.ErrorIs(t, last, context.Canceled, "a list that is cut short says why")
	}

	n = 0
	for _, err := range t.History(ctx, update.Query{}) {
		require.ErrorIs(t, err, context.Canceled, "a context that has ended reads nothing")
		n++
	}
	require.Equal(t, 1, n, "an error is the last pair")
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
