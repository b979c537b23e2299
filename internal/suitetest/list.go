package suitetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// List is the history of an engine, newest first, whose promises are those of
// every domain. It has no runs when a case begins.
type List[R any] struct {
	testing.TB
	History  func(ctx context.Context, after string) iter.Seq2[R, error] // after a run, or all after ""
	ID       func(R) string
	Create   func(id string) // a run that is in no other's way
	Save     func(id string) // a run, which is there
	NotFound error
	Many     int // runs that an engine does not read at once
	RealTime bool
}

// Fill creates n runs and returns their ids, newest first. The order of the
// ids is not that of the runs.
func (l List[R]) Fill(n int) (ids []string) {
	for i := range n {
		id := fmt.Sprintf("%x", (i*7+3)%n+1000)
		l.Create(id)
		ids = append(ids, id)
	}
	slices.Reverse(ids)
	return ids
}

// page returns the first n runs after one, or all of them if n is 0.
func (l List[R]) page(after string, n int) (ids []string) {
	l.Helper()
	for r, err := range l.History(l.Context(), after) {
		require.NoError(l, err)
		if ids = append(ids, l.ID(r)); len(ids) == n {
			break
		}
	}
	return ids
}

// NewestFirst is a case.
func (l List[R]) NewestFirst() {
	require.Empty(l, l.page("", 0), "a new engine has no runs")
	ids := l.Fill(20)
	require.Equal(l, ids, l.page("", 0), "history is newest first")
	time.Sleep(5 * time.Millisecond)
	for _, id := range []string{ids[19], ids[3]} { // a change does not make a run newer
		l.Save(id)
	}
	l.Create("newest")
	require.Equal(l, append([]string{"newest"}, ids...), l.page("", 0), "history is newest first, by creation")
}

// Pages is a case.
func (l List[R]) Pages() {
	want := l.Fill(l.Many)
	var got []string
	for after := ""; len(got) <= len(want); after = got[len(got)-1] {
		page := l.page(after, 7)
		got = append(got, page...)
		if len(page) < 7 {
			break
		}
		l.Create(fmt.Sprint("new ", len(got)))
	}
	require.Equal(l, want, got, "pages join into the list as it was when it was begun")
}

// AfterUnknown is a case.
func (l List[R]) AfterUnknown() {
	l.Fill(3)
	l.After("unknown")
}

// After expects that there is no such run to go on after.
func (l List[R]) After(unknown string) {
	pairs := 0
	for r, err := range l.History(l.Context(), unknown) {
		pairs++
		require.ErrorIs(l, err, l.NotFound, "there is no such run to go on after")
		require.Zero(l, r)
	}
	require.Equal(l, 1, pairs, "history stops after an error")
}

// Again is a case.
func (l List[R]) Again() {
	ids := l.Fill(20)
	list := l.History(l.Context(), "")
	for range 3 {
		n := 0
		for r, err := range list {
			require.NoError(l, err)
			require.Equal(l, ids[n], l.ID(r), "each range over the list begins anew")
			if n++; n == 5 {
				break
			}
		}
		require.Equal(l, 5, n)
	}
	require.Equal(l, ids, l.page("", 0), "a list that was left does no harm")
}

// Slowly is a case.
func (l List[R]) Slowly() {
	ids := l.Fill(l.Many)
	var got []string
	for r, err := range l.History(l.Context(), "") {
		require.NoError(l, err, "a reader may take its time")
		if got = append(got, l.ID(r)); len(got)%(l.Many/5) != 1 {
			continue
		}
		if !l.RealTime {
			time.Sleep(time.Minute)
		}
		l.Save(l.ID(r)) // it can be read and written while it is listed
		l.Create("new " + l.ID(r))
	}
	require.Equal(l, ids, got, "a list is not disturbed by new runs")
}

// ContextEnds is a case.
func (l List[R]) ContextEnds() {
	l.Fill(20)
	ctx, cancel := context.WithCancel(l.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range l.History(ctx, "") {
		require.NoError(l, last, "an error is the last pair")
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	if n < 20 {
		require.ErrorIs(l, last, context.Canceled, "a list that is cut short says why")
	}
	n = 0
	for _, err := range l.History(ctx, "") {
		require.ErrorIs(l, err, context.Canceled, "a context that has ended reads nothing")
		n++
	}
	require.Equal(l, 1, n, "an error is the last pair")
}
