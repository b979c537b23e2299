package firmwaretest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// beginMany begins n runs and returns their ids, newest first. The order of the
// ids is not that of the runs.
func (t *storeTest) beginMany(n int) (ids []string) {
	t.Helper()
	r := t.load()
	for i := range n {
		r.Run = aRun(fmt.Sprintf("%x", (i*7+3)%n+1000))
		r = t.save(r)
		ids = append(ids, r.Run.ID)
	}
	slices.Reverse(ids)
	return ids
}

// firstPage returns the first runs that q selects.
func (t *storeTest) firstPage(q firmware.Query, n int) (ids []string) {
	t.Helper()
	for r, err := range t.History(t.Context(), q) {
		require.NoError(t, err)
		if ids = append(ids, r.ID); len(ids) == n {
			break
		}
	}
	return ids
}

func newestFirst(t *storeTest) {
	ids := t.beginMany(20)
	require.Equal(t, ids, t.list(firmware.Query{}), "history is newest first")
	time.Sleep(5 * time.Millisecond)
	for _, id := range []string{ids[19], ids[3]} { // a change does not make a run newer
		run := t.get(id)
		t.begin(&run)
	}
	ids = append([]string{t.begin(aRun("newest")).Run.ID}, ids...)
	require.Equal(t, ids, t.list(firmware.Query{}), "history is newest first, by creation")
}

func selects(t *storeTest) {
	for i, r := range []struct {
		request string
		state   firmware.State
	}{
		{"", firmware.StateRunning},
		{"x", firmware.StateRollingBack},
		{"y", firmware.StateSucceeded},
		{"", firmware.StateFailed},
		{"z", firmware.StateTrial},
		{"Z", firmware.StateCancelled},
		{"", firmware.StateWaiting},
	} {
		rec := t.begin(asked(fmt.Sprint(i), r.request))
		rec.Run.State = r.state
		t.save(rec)
	}
	for _, c := range []struct {
		q    firmware.Query
		want []string
	}{
		{firmware.Query{}, []string{"6", "5", "4", "3", "2", "1", "0"}},
		{firmware.Query{Live: true}, []string{"6", "4", "1", "0"}},
		{firmware.Query{RequestID: "x"}, []string{"1"}},
		{firmware.Query{RequestID: "Z"}, []string{"5"}},
		{firmware.Query{RequestID: "none"}, nil},
		{firmware.Query{Live: true, RequestID: "x"}, []string{"1"}},
		{firmware.Query{Live: true, RequestID: "y"}, nil},
		{firmware.Query{After: "4"}, []string{"3", "2", "1", "0"}},
		{firmware.Query{Live: true, After: "5"}, []string{"4", "1", "0"}},
		{firmware.Query{RequestID: "x", After: "2"}, []string{"1"}},
		{firmware.Query{RequestID: "x", After: "1"}, nil},
		{firmware.Query{Live: true, RequestID: "x", After: "6"}, []string{"1"}},
		{firmware.Query{After: "0"}, nil},
	} {
		require.Equal(t, c.want, t.list(c.q), "%+v", c.q)
	}
}

func pages(t *storeTest) {
	want := t.beginMany(150)
	var got []string
	var q firmware.Query
	for len(got) <= len(want) {
		page := t.firstPage(q, 7)
		got = append(got, page...)
		if len(page) < 7 {
			break
		}
		q.After = page[6]
		t.begin(aRun(fmt.Sprint("new ", len(got))))
	}
	require.Equal(t, want, got, "pages join into the list as it was when it was begun")
}

func pagesAfterUnselected(t *storeTest) {
	ids := t.beginMany(10)
	live := firmware.Query{Live: true}
	live.After = t.firstPage(live, 3)[2]
	run := t.get(live.After)
	run.State = firmware.StateSucceeded
	t.begin(&run) // it has ended between two pages
	require.Equal(t, ids[3:], t.list(live), "a list goes on after a run that is no longer selected")
}

func pagesAfterUnknown(t *storeTest) {
	t.beginMany(3)
	_, err := t.store.Firmware("other").Save(t.Context(), firmware.Record{Run: aRun("of another device")})
	require.NoError(t, err)
	for _, after := range []string{"unknown", "of another device"} {
		pairs := 0
		for r, err := range t.History(t.Context(), firmware.Query{After: after}) {
			pairs++
			require.ErrorIs(t, err, firmware.ErrNotFound, "there is no such run to go on after")
			require.Zero(t, r)
		}
		require.Equal(t, 1, pairs, "history stops after an error")
	}
}

func historyAgain(t *storeTest) {
	ids := t.beginMany(20)
	list := t.History(t.Context(), firmware.Query{})
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
	require.Equal(t, ids, t.list(firmware.Query{}), "a list that was left does no harm")
}

func historySlowly(t *storeTest) {
	ids := t.beginMany(120)
	var got []string
	for r, err := range t.History(t.Context(), firmware.Query{}) {
		require.NoError(t, err, "a reader may take its time")
		if got = append(got, r.ID); len(got)%30 != 1 {
			continue
		}
		if !t.realTime {
			time.Sleep(time.Minute)
		}
		run := t.get(r.ID) // it can be read while it is listed
		run.Percent = 50
		t.begin(&run)
		t.begin(aRun("new " + r.ID))
	}
	require.Equal(t, ids, got, "a list is not disturbed by new runs")
}

func historyContext(t *storeTest) {
	t.beginMany(20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range t.History(ctx, firmware.Query{}) {
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
	for _, err := range t.History(ctx, firmware.Query{}) {
		require.ErrorIs(t, err, context.Canceled, "a context that has ended reads nothing")
		n++
	}
	require.Equal(t, 1, n, "an error is the last pair")
}
