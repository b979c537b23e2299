package lvtest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// soon is when a watcher has at the latest what was written in its process.
const soon = 5 * time.Second

func eventsSay(t *storeTest) {
	a1 := t.save("a", "1")
	time.Sleep(2 * time.Millisecond)
	versions := t.write(saving("b", "1"), saving("a", "2"))
	b1, a2 := versions[0], versions[1]
	release, err := t.PutRelease(t.Context(), pages, applied(green, to(a1), to(b1)), lv.By{Actor: "bob"})
	require.NoError(t, err)
	d := t.remove("a")
	plan := t.put(lv.Release{Env: green, State: lv.ReleaseDraft, Changes: []lv.Change{to(a1)}})
	second := t.release(green, to(d), to(b1))
	third := t.release(green, lv.Change{Row: "a"})
	s := t.putStrategy(strategy(a1))

	row := func(v lv.Version, from lv.VersionID) lv.Moved {
		m := lv.Moved{Row: v.Row, From: from, To: v.ID, Content: v.Content, CreatedAt: b1.Time, UpdatedAt: v.Time}
		if v.Row == "a" {
			m.CreatedAt = a1.Time
		}
		return m
	}
	got := t.log()
	var seq int64
	for i, want := range []lv.Event{
		{Kind: lv.EventSaved, Rows: []lv.Moved{row(a1, 0)}},
		{Kind: lv.EventSaved, Rows: []lv.Moved{row(b1, 0), row(a2, a1.ID)}},
		{Kind: lv.EventReleased, Env: green, Release: release.ID, Rows: []lv.Moved{row(a1, 0), row(b1, 0)}, Actor: "bob"},
		{Kind: lv.EventSaved, Rows: []lv.Moved{row(d, a2.ID)}},
		{Kind: lv.EventDraft, Env: green, Release: plan.ID},
		{Kind: lv.EventReleased, Env: green, Release: second.ID, Rows: []lv.Moved{row(d, a1.ID)}},
		{Kind: lv.EventReleased, Env: green, Release: third.ID, Rows: []lv.Moved{{Row: "a", From: d.ID}}},
		{Kind: lv.EventStrategy, Rows: []lv.Moved{row(a1, 0)}, Strategy: &s},
	} {
		require.Greater(t, len(got), i, "every write leaves an event")
		e := got[i]
		require.Greater(t, e.Seq, seq, "Seq rises")
		requireStamp(t, e.Time)
		require.WithinDuration(t, a1.Time, e.Time, time.Minute, "an event has the time of its write")
		want.Seq, want.Time, want.Table = e.Seq, e.Time, pages
		if want.Actor == "" {
			want.Actor = "ann"
		}
		require.Equal(t, want, e, "event %d says what has changed", i)
		seq = e.Seq
	}
	require.Len(t, got, 8)
	require.Equal(t, got[5].Seq, second.Seq, "a release has the Seq of its event")
	require.Equal(t, seq, s.Seq, "a strategy has the Seq of its event")
}

func watchAfter(t *storeTest) {
	t.saveMany(10)
	t.writeElsewhere("elsewhere")
	all := collect(t, t.VersionStore, 0, 11)
	for i, e := range all[:10] {
		require.Equal(t, all[i+1:], collect(t, t.VersionStore, e.Seq, 10-i), "Watch yields what follows event %d", i+1)
	}
	w := t.watch(all[10].Seq)
	v := t.save("new", "1")
	e := w.next(t)
	require.Equal(t, v.ID, nth(t, 0, e.Rows).To, "after the last event comes the next one")
	require.Greater(t, e.Seq, all[10].Seq, "Seq rises")
}

func watchFuture(t *storeTest) {
	require.True(t, compacted(t, t.VersionStore, 1), "an event that is not yet there is of another history")
	t.saveMany(10)
	newest := collect(t, t.VersionStore, 0, 10)[9].Seq
	for _, after := range []int64{newest + 1, newest + 1000, math.MaxInt64} {
		require.True(t, compacted(t, t.VersionStore, after), "event %d is not yet there", after)
	}
	require.False(t, compacted(t, t.VersionStore, newest-1))
}

// watcher reads a Watch in the background.
type watcher struct {
	cancel context.CancelFunc
	events chan lv.Event
	err    chan error // what ended it; nil if it ended without an error
}

// watch starts a watcher, which ends with the case at the latest.
func (t *storeTest) watch(after int64) *watcher {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{cancel: cancel, events: make(chan lv.Event, 1000), err: make(chan error, 1)}
	go func() {
		var last error
		for e, err := range t.Watch(ctx, after) {
			assert.NoError(t, last, "an error is the last pair")
			if last = err; err != nil {
				continue
			}
			select {
			case w.events <- e:
			case <-t.Context().Done():
				return
			}
		}
		w.err <- last
	}()
	return w
}

// next returns the watcher's next event, which must come soon.
func (w *watcher) next(t testing.TB) lv.Event {
	t.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(soon):
		require.Fail(t, "no event has come", "a watcher is woken by a write")
	}
	panic("unreachable")
}

func watchWaits(t *storeTest) {
	watchers := []*watcher{t.watch(0), t.watch(0), t.watch(0)}
	for i := range 5 {
		time.Sleep(20 * time.Millisecond) // so that they wait
		before := time.Now()
		v := t.save("a", fmt.Sprint(i))
		for _, w := range watchers {
			require.Equal(t, v.ID, nth(t, 0, w.next(t).Rows).To, "every watcher gets every event")
		}
		require.Less(t, time.Since(before), soon, "watchers are woken by a write")
	}
}

// writeMany saves a row n times.
func writeMany(t testing.TB, s lv.VersionStore, row string, n int) {
	for i := range n {
		_, err := s.Write(t.Context(), pages, []lv.Edit{saving(row, fmt.Sprint(i))}, ann)
		if !assert.NoError(t, err) {
			return
		}
	}
}

// requireAllOf checks that events are all that writers wrote, in order.
func requireAllOf(t testing.TB, events []lv.Event, writers, writes int) {
	t.Helper()
	require.Len(t, events, writers*writes, "Watch loses no event")
	next := make(map[string]int)
	var seq int64
	for _, e := range events {
		require.Greater(t, e.Seq, seq, "Seq rises")
		seq = e.Seq
		require.Len(t, e.Rows, 1)
		row := e.Rows[0]
		require.Equal(t, string(page(fmt.Sprint(next[row.Row]))), string(row.Content), "the events of a row come once each, in order")
		next[row.Row]++
	}
}

func watchLosesNothing(t *storeTest) {
	const writers, writes = 8, 25
	var eager, slow []lv.Event
	read := func(into *[]lv.Event, pause time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for e, err := range t.Watch(ctx, 0) {
			if !assert.NoError(t, err) {
				return
			}
			if *into = append(*into, e); len(*into) == writers*writes {
				return
			}
			time.Sleep(pause)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { read(&eager, 0) })
	wg.Go(func() { read(&slow, 3*time.Millisecond) })
	for i := range writers {
		wg.Go(func() { writeMany(t, t.VersionStore, fmt.Sprint("row ", i), writes) })
	}
	wg.Wait()
	requireAllOf(t, eager, writers, writes)
	require.Equal(t, eager, slow, "every watcher sees the same events")
	require.Equal(t, eager, collect(t, t.VersionStore, 0, writers*writes), "the events stay in the order in which they were seen")
}

func watchContext(t *storeTest) {
	t.saveMany(30)
	w := t.watch(0)
	for range 30 {
		w.next(t)
	}
	time.Sleep(20 * time.Millisecond) // so that it waits
	w.cancel()
	select {
	case err := <-w.err:
		require.ErrorIs(t, err, context.Canceled, "a Watch that waits ends with the context's error")
	case <-time.After(soon):
		require.Fail(t, "Watch goes on", "a Watch that waits ends with its context")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	var last error
	for _, err := range t.Watch(ctx, 0) {
		require.NoError(t, last, "an error is the last pair")
		if last = err; err == nil {
			seen++
		}
		if seen == 5 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled, "a Watch that has more ends with the context's error")

	deadline, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, err := range t.Watch(deadline, 0) {
		last = err
	}
	require.ErrorIs(t, last, context.DeadlineExceeded, "the error is that of the context")
}

func watchAgain(t *storeTest) {
	t.saveMany(20)
	all := t.Watch(t.Context(), 0)
	want := first(t, 5, all)
	for range 3 {
		require.Equal(t, want, first(t, 5, all), "each range over a Watch begins anew")
	}
	require.Len(t, collect(t, t.VersionStore, 0, 20), 20, "a Watch that was left does no harm")
}

func watcherWrites(t *storeTest) {
	v := t.save("a", "0")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	n := 0
	for e, err := range t.Watch(ctx, 0) {
		require.NoError(t, err, "a watcher sees what it writes")
		require.Equal(t, v.ID, nth(t, 0, e.Rows).To, "a watcher sees what it writes")
		if n++; n == 20 {
			break
		}
		t.shows(lv.View{Working: true}, fmt.Sprint("a=", n-1))
		v = t.save("a", fmt.Sprint(n))
	}
}

func watchReplays(t *storeTest) {
	a1 := t.save("a", "1")
	t.write(saving("b", "1"), saving("a", "2"), saving("c", "1"))
	t.publish(lv.Production, "a", "b")
	t.publish(green, "a", "c")
	s := t.putStrategy(strategy(a1))
	t.remove("c")
	t.publish(blue, "c", "b")
	t.rollback(a1)
	t.put(draft(to(a1)))
	t.publish(lv.Production, "a", "b", "c")
	t.release(green, lv.Change{Row: "a"})
	s.Disabled = true
	s = t.putStrategy(s)
	kept := t.putStrategy(strategy(a1))
	kept.Disabled = true
	t.putStrategy(kept)
	t.write(saving("c", "4"), deleting("a"))
	t.release(lv.Production, lv.Change{Row: "b"})
	s.Deleted = true
	t.putStrategy(s)
	t.publish(lv.Production, "a")

	events := t.log()
	now := readAll(t, t.VersionStore, pages)
	for i := range events {
		seq := int64(0)
		if i > 0 {
			seq = events[i-1].Seq
		}
		requireReplay(t, t.VersionStore, now, seq, logAfter(t, t.VersionStore, seq))
	}
}

// fill writes events until the first is compacted, and returns all of them.
func fill(t *storeTest, s lv.VersionStore) []lv.Event {
	all := collect(t, s, 0, 1)
	for n := range 100 {
		for i := range 50 {
			_, err := s.Write(t.Context(), pages, []lv.Edit{saving("a", fmt.Sprint("fill ", n, i))}, ann)
			require.NoError(t, err)
		}
		all = append(all, collect(t, s, all[len(all)-1].Seq, 50)...)
		if compacted(t, s, 0) {
			return all
		}
	}
	require.Fail(t, "events were never compacted", "an engine keeps no more than its limit, give or take 5,000")
	return nil
}

// compacted reports whether the event that follows after is gone.
func compacted(t *storeTest, s lv.VersionStore, after int64) bool {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	pairs, gone := 0, false
	for _, err := range s.Watch(ctx, after) {
		pairs++
		if err == nil && !gone {
			return false
		}
		require.ErrorIs(t, err, lv.ErrCompacted, "a reader that comes too late is told")
		gone = true
	}
	require.Equal(t, 1, pairs, "ErrCompacted is the last pair")
	return gone
}

func compactsByCount(t *storeTest) {
	const limit = 100
	s := t.retain(limit, 0)
	_, err := s.Write(t.Context(), pages, []lv.Edit{saving("a", "first")}, ann)
	require.NoError(t, err)
	all := fill(t, s)
	require.Greater(t, len(all), limit, "the last %d events are kept", limit)
	kept := all[len(all)-limit:]
	require.Equal(t, kept[1:], collect(t, s, kept[0].Seq, limit-1), "the last %d events are kept", limit)
	require.Equal(t, kept, collect(t, s, all[len(all)-limit-1].Seq, limit), "what follows the last event that is gone is kept")

	for i, e := range kept {
		rows := list(t, s.Rows(t.Context(), pages, lv.View{Working: true, AsOf: e.Seq}))
		require.Len(t, rows, 1)
		require.Equal(t, string(nth(t, 0, e.Rows).Content), string(rows[0].Content), "what was as of a kept event can be read: %d", i)
	}
	requireFails(t, lv.ErrCompacted, s.Rows(t.Context(), pages, lv.View{Working: true, AsOf: all[0].Seq}))
	require.Len(t, list(t, s.Versions(t.Context(), pages, lv.Query{})), len(all), "versions are kept")
	requireConsistent(t, s)
}

func compactsByAge(t *storeTest) {
	age := time.Hour
	if t.realTime {
		age = 3 * time.Second // more than fill takes between a write and its event
	}
	s := t.retain(0, age)
	_, err := s.Write(t.Context(), pages, []lv.Edit{saving("a", "first")}, ann)
	require.NoError(t, err)
	time.Sleep(age + age/4)
	all := fill(t, s)
	require.False(t, compacted(t, s, all[len(all)-2].Seq), "new events are kept")
}

func compactsByDefault(t *storeTest) {
	for _, r := range []struct {
		events int
		age    time.Duration
	}{{0, 0}, {-1, 0}, {0, -1}, {-100, -time.Hour}, {math.MinInt, math.MinInt64}, {math.MaxInt, math.MaxInt64}} {
		s := t.retain(r.events, r.age)
		for n := range 12 {
			time.Sleep(2 * time.Millisecond)
			_, err := s.Write(t.Context(), pages, []lv.Edit{saving("a", fmt.Sprint(n))}, ann)
			require.NoError(t, err)
		}
		require.Len(t, collect(t, s, 0, 12), 12, "all events are kept with a limit of %d, or %d ns", r.events, r.age)
	}
}
