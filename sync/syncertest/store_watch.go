package syncertest

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/filltest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// about is an event of a run.
func about(run string) cloudsync.Event {
	return cloudsync.Event{Kind: cloudsync.EventLog, State: cloudsync.StateRunning, Run: run}
}

// events returns n events after one, which must be there.
func (t *storeTest) events(s cloudsync.FolderStore, after int64, n int) []cloudsync.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[cloudsync.Event, error] { return s.Watch(ctx, after) })
}

func (t *storeTest) watchOrder() {
	before := time.Now()
	given := []cloudsync.Event{
		{Kind: cloudsync.EventStarted, Run: "1", State: cloudsync.StateRunning, Actor: "ann"},
		{Kind: cloudsync.EventConfigured, Seq: 77, Time: time.Unix(1, 0), Message: "hello"}, // the engine gives both
		{Kind: cloudsync.EventStep, Run: "1", Step: cloudsync.StepScan, Percent: 7},
	}
	for i, e := range given {
		var entries []cloudsync.Entry
		if i > 0 {
			entries = append(entries, entry("a", fmt.Sprint(i)))
		}
		_, err := t.Update(t.Context(), 0, entries, e)
		require.NoError(t, err)
	}
	for i, e := range t.events(t.FolderStore, 0, len(given)) {
		require.Equal(t, time.UTC, e.Time.Location(), "times are UTC")
		require.WithinDuration(t, before, e.Time, time.Minute, "an event has the time of its write")
		want := given[i]
		want.Seq, want.Time = int64(i)+1, e.Time
		require.Equal(t, want, e)
	}
}

func (t *storeTest) eventTrip() {
	given := filltest.New[cloudsync.Event]()
	strange := given
	strange.Run, strange.Path, strange.Message, strange.Actor = "\xff\x00", "a\xff/\u2028<b>", "\U0010ff00", "\xed\xa0\x80"
	for i, given := range []cloudsync.Event{given, strange, {}} {
		seq, err := t.Update(t.Context(), 0, nil, given)
		require.NoError(t, err)
		got := t.events(t.FolderStore, seq-1, 1)[0]
		if i == 0 {
			require.Empty(t, filltest.Zeros(got), "no field is forgotten")
		}
		given.Seq, given.Time = seq, got.Time
		require.Equal(t, given, got)
	}
}

func (t *storeTest) lastNumber() {
	for _, n := range []int{3, 0, 1, 2} {
		before := t.last()
		seq, err := t.Update(t.Context(), 0, []cloudsync.Entry{entry("a", "1")}, make([]cloudsync.Event, n)...)
		require.NoError(t, err)
		if n == 0 {
			require.Zero(t, seq)
		} else {
			require.Equal(t, before+int64(n), seq)
		}
		require.Equal(t, before+int64(n)+1, t.last())
	}
}

// last is the number of one more event, which is the last.
func (t *storeTest) last() int64 {
	t.Helper()
	seq, err := t.Update(t.Context(), 0, nil, about("look"))
	require.NoError(t, err)
	require.Equal(t, "look", t.events(t.FolderStore, seq-1, 1)[0].Run)
	return seq
}

func (t *storeTest) numbers() {
	other := t.store.SyncState("other")
	for range 5 {
		_, err := other.Update(t.Context(), 0, nil, make([]cloudsync.Event, 3)...)
		require.NoError(t, err)
		_, err = t.Update(t.Context(), 0, nil, make([]cloudsync.Event, 2)...)
		require.NoError(t, err)
		_, err = t.Update(t.Context(), 0, []cloudsync.Entry{entry("a", "b")})
		require.NoError(t, err)
	}
	for i, e := range t.events(t.FolderStore, 0, 10) {
		require.EqualValues(t, i+1, e.Seq, "the events of a folder are numbered without a gap, whatever others write")
	}
	require.EqualValues(t, 15, t.events(other, 0, 15)[14].Seq)
}

func (t *storeTest) damaged() {
	for i, run := range []string{"sound", "broken", "sound"} {
		_, err := t.Update(t.Context(), 0, nil, cloudsync.Event{Run: run, Kind: cloudsync.EventLog, Message: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	written := t.events(t.FolderStore, 0, 3)
	t.damage("broken")
	got := t.events(t.FolderStore, 0, 3)
	want := written[1]
	want.Kind, want.Message = cloudsync.EventCorrupt, ""
	require.Equal(t, []cloudsync.Event{written[0], want, written[2]}, got)
}

// feed has the promises of every Watch, for a folder beside another.
func (h StoreHarness) feed() suitetest.Feed[cloudsync.Store, cloudsync.Event] {
	f := suitetest.Feed[cloudsync.Store, cloudsync.Event]{
		Harness: suitetest.Harness[cloudsync.Store]{
			Open: func(t testing.TB) cloudsync.Store { return beside(t, h.Open(t)) }, Again: h.Again, RealTime: h.RealTime,
		},
		Watch:     watchOf,
		Compacted: cloudsync.ErrCompacted,
		Writer:    writer,
		Told: func(t testing.TB, e cloudsync.Event) (int64, string, int) {
			n, err := strconv.Atoi(e.Message)
			require.NoError(t, err)
			return e.Seq, e.Actor, n
		},
		Read: func(t testing.TB, s cloudsync.Store, e cloudsync.Event) {
			for got, err := range s.SyncState(folder).List(t.Context(), "of "+e.Actor) {
				require.NoError(t, err, "a watcher may read")
				require.Equal(t, e.Message, string(got.Value), "what an event tells can be read")
			}
		},
		Kept: func(t testing.TB, s cloudsync.Store, _, kept []cloudsync.Event) {
			list := &storeTest{TB: t, store: s}
			require.NotEmpty(t, list.listed(s.SyncState(folder), "of "), "entries are kept")
			require.Len(t, list.events(s.SyncState("other"), 0, 3), 3, "the limit is that of each folder")
		},
	}
	if h.Retain != nil {
		f.Retain = func(t testing.TB, events int, age time.Duration) cloudsync.Store {
			return beside(t, h.Retain(t, events, age))
		}
	}
	return f
}

func watchOf(s cloudsync.Store, ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] { //nolint:revive // a method expression
	return s.SyncState(folder).Watch(ctx, after)
}

// beside writes events of another folder.
func beside(t testing.TB, s cloudsync.Store) cloudsync.Store {
	_, err := s.SyncState("other").Update(t.Context(), 0, nil, make([]cloudsync.Event, 3)...)
	require.NoError(t, err)
	return s
}

// writer writes events with an entry of its own, beside other writers. Their
// numbers are their messages.
func writer(t testing.TB, s cloudsync.Store, id string) func(first, n int) error {
	return func(first, n int) error {
		events := make([]cloudsync.Event, n)
		for i := range events {
			events[i] = cloudsync.Event{Kind: cloudsync.EventLog, Actor: id, Message: fmt.Sprint(first + i)}
		}
		note := entry("of "+id, fmt.Sprint(first+n-1))
		_, err := s.SyncState(folder).Update(t.Context(), 0, []cloudsync.Entry{note}, events...)
		return err
	}
}
