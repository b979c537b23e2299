package updatetest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

// soon is when a watcher has at the latest what was written in its process.
const soon = 5 * time.Second

// write creates a run of its own and saves it until it has n events, whose
// messages count from 0.
func write(t testing.TB, j update.Journal, id string, n int) {
	r := on(id, id, 1)
	var err error
	for i := range n {
		e := update.Event{Kind: update.EventLog, Message: fmt.Sprint(i)}
		if i == 0 {
			r, err = j.Create(t.Context(), r, e)
		} else {
			r, err = j.Save(t.Context(), r, e)
		}
		if !assert.NoError(t, err) {
			return
		}
	}
}

// requireAllOf checks that events are all that writers wrote, in order.
func requireAllOf(t testing.TB, events []update.Event, writers, writes int) {
	t.Helper()
	require.Len(t, events, writers*writes, "Watch loses no event")
	next := make(map[string]int)
	var seq int64
	for _, e := range events {
		require.Greater(t, e.Seq, seq, "Seq rises")
		seq = e.Seq
		require.Equal(t, fmt.Sprint(next[e.Run]), e.Message, "the events of a run come once each, in order")
		next[e.Run]++
	}
}

// watcher reads a Watch in the background.
type watcher struct {
	cancel context.CancelFunc
	events chan update.Event
	err    chan error // what ended it; nil if it ended without an error
}

// watch starts a watcher, which ends with the case at the latest.
func (t *journalTest) watch(after int64) *watcher {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{cancel: cancel, events: make(chan update.Event, 1000), err: make(chan error, 1)}
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
func (w *watcher) next(t testing.TB) update.Event {
	t.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(soon):
		require.Fail(t, "no event has come", "a watcher is woken by a write")
	}
	panic("unreachable")
}

func watchOrder(t *journalTest) {
	r := aRun("1")
	events := []update.Event{{Kind: update.EventStarted, Actor: "ann"}, {Kind: update.EventLog, Message: "hello"}}
	r, err := t.Create(t.Context(), r, events...)
	require.NoError(t, err)
	r.State, r.Percent = update.StateRollingBack, 40
	more := []update.Event{
		{Kind: update.EventStep, Step: "publish", Phase: update.PhaseUndoing, Message: "step"},
		{
			Kind: update.EventCancel, Actor: "bob", Message: "late", // the rest is the engine's
			Seq: 1, Time: time.Unix(0, 0), Run: "x", Package: "x", State: "x", Percent: 99,
		},
	}
	saved := t.save(r, more...)

	got := t.events(0, 4)
	var seq int64
	for i, want := range append(events, more...) {
		run, e := r, got[i]
		require.Greater(t, e.Seq, seq, "Seq rises")
		require.Equal(t, time.UTC, e.Time.Location(), "times are UTC")
		want.State, want.Percent = update.StateRunning, 0
		if run = r; i >= len(events) {
			run, want.State, want.Percent = saved, update.StateRollingBack, 40
		}
		require.WithinDuration(t, run.UpdatedAt, e.Time, time.Second, "an event has the time of its write")
		want.Seq, want.Time, want.Run, want.Package = e.Seq, e.Time, r.ID, r.Package
		require.Equal(t, want, e, "an event comes as it was written, and with its run as it was after it")
		seq = e.Seq
	}
}

func watchAfter(t *journalTest) {
	write(t, t.Journal, "a", 10)
	write(t, t.Journal, "b", 10)
	all := t.events(0, 20)
	for i, e := range all[:19] {
		require.Equal(t, all[i+1:], t.events(e.Seq, 19-i), "Watch yields what follows event %d", i+1)
	}
	w := t.watch(all[19].Seq)
	write(t, t.Journal, "c", 1)
	e := w.next(t)
	require.Equal(t, "c", e.Run, "after the last event comes the next one")
	require.Greater(t, e.Seq, all[19].Seq, "Seq rises")
}

func watchFuture(t *journalTest) {
	require.True(t, compacted(t, t.Journal, 1), "an event that is not yet there is of another history")
	write(t, t.Journal, "a", 10)
	newest := t.events(0, 10)[9].Seq
	for _, after := range []int64{newest + 1, newest + 1000, math.MaxInt64} {
		require.True(t, compacted(t, t.Journal, after), "event %d is not yet there", after)
	}
	require.False(t, compacted(t, t.Journal, newest-1))
}

func watchNext(t *journalTest) {
	write(t, t.Journal, "old", 10)
	w := t.watch(-1)
	var first update.Event
	tries := 0
	for waiting := true; waiting; tries++ { // until the watcher has begun
		require.Less(t, tries, 1000, "a watcher sees what is written after it began")
		write(t, t.Journal, fmt.Sprint("new ", tries), 1)
		select {
		case first = <-w.events:
			waiting = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	require.NotEqual(t, "old", first.Run, "a negative Watch begins with the next event")
	write(t, t.Journal, "more", 5)
	for e := first; e.Run != "more" || e.Message != "4"; {
		next := w.next(t)
		require.Equal(t, t.events(e.Seq, 1)[0], next, "from there nothing is left out")
		e = next
	}
	for e, err := range t.Watch(canceled(t), -5) {
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, e)
	}
}

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func watchWaits(t *journalTest) {
	watchers := []*watcher{t.watch(0), t.watch(0), t.watch(0)}
	r := aRun("1")
	for i := range 5 {
		time.Sleep(20 * time.Millisecond) // so that they wait
		before := time.Now()
		e := update.Event{Kind: update.EventLog, Message: fmt.Sprint(i)}
		var err error
		if i == 0 {
			r, err = t.Create(t.Context(), r, e)
		} else {
			r, err = t.Save(t.Context(), r, e)
		}
		require.NoError(t, err)
		for _, w := range watchers {
			require.Equal(t, fmt.Sprint(i), w.next(t).Message, "every watcher gets every event")
		}
		require.Less(t, time.Since(before), soon, "watchers are woken by a write")
	}
}

func watchLosesNothing(t *journalTest) {
	const writers, writes = 8, 25
	var eager, slow []update.Event
	read := func(into *[]update.Event, pause time.Duration) {
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
		wg.Go(func() { write(t, t.Journal, fmt.Sprint("run ", i), writes) })
	}
	wg.Wait()
	requireAllOf(t, eager, writers, writes)
	require.Equal(t, eager, slow, "every watcher sees the same events")
	require.Equal(t, eager, t.events(0, writers*writes), "the events stay in the order in which they were seen")
}

func watchContext(t *journalTest) {
	write(t, t.Journal, "run", 100)
	w := t.watch(0)
	for range 100 {
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

func watchAgain(t *journalTest) {
	write(t, t.Journal, "run", 20)
	list := t.Watch(t.Context(), 0)
	for range 3 {
		n := 0
		for e, err := range list {
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(n), e.Message, "each range over a Watch begins anew")
			if n++; n == 5 {
				break
			}
		}
		require.Equal(t, 5, n)
	}
	require.Len(t, t.events(0, 20), 20, "a Watch that was left does no harm")
}

func watcherWrites(t *journalTest) {
	r := t.create(aRun("1"))
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for e, err := range t.Watch(ctx, 0) {
		require.NoError(t, err, "a watcher sees what it writes")
		require.EqualValues(t, r.Rev-1, e.Percent, "a watcher sees what it writes")
		if e.Percent == 20 {
			break
		}
		r, err = t.Get(t.Context(), "1")
		require.NoError(t, err, "a watcher may read")
		r.Percent = e.Percent + 1
		r = t.save(r, update.Event{Kind: update.EventProgress})
	}
}

// fill writes events in lots of 50 until the first is compacted, and returns
// all of them.
func fill(t *journalTest, j update.Journal, first update.Run) []update.Event {
	all := collect(t, j, 0, 1)
	r := first
	for range 100 {
		lot := make([]update.Event, 50)
		for i := range lot {
			lot[i] = update.Event{Kind: update.EventLog, Message: fmt.Sprint(len(all) + i)}
		}
		var err error
		r, err = j.Save(t.Context(), r, lot...)
		require.NoError(t, err)
		all = append(all, collect(t, j, all[len(all)-1].Seq, len(lot))...)
		if compacted(t, j, 0) {
			return all
		}
	}
	require.Fail(t, "events were never compacted", "an engine keeps no more than its limit, give or take 5,000")
	return nil
}

// compacted reports whether the event that follows after is gone.
func compacted(t *journalTest, j update.Journal, after int64) bool {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	pairs, gone := 0, false
	for _, err := range j.Watch(ctx, after) {
		pairs++
		if err == nil && !gone {
			return false
		}
		require.ErrorIs(t, err, update.ErrCompacted, "a reader that comes too late is told")
		gone = true
	}
	require.Equal(t, 1, pairs, "ErrCompacted is the last pair")
	return gone
}

func compactsByCount(t *journalTest) {
	const limit = 100
	j := t.retain(limit, 0)
	r, err := j.Create(t.Context(), aRun("1"), update.Event{Kind: update.EventLog, Message: "0"})
	require.NoError(t, err)
	all := fill(t, j, r)
	require.Greater(t, len(all), limit, "the last %d events are kept", limit)
	kept := all[len(all)-limit:]
	require.Equal(t, kept[1:], collect(t, j, kept[0].Seq, limit-1), "the last %d events are kept", limit)
	require.Equal(t, kept, collect(t, j, all[len(all)-limit-1].Seq, limit), "what follows the last event that is gone is kept")
	_, err = j.Get(t.Context(), "1")
	require.NoError(t, err, "runs are kept")
}

func compactsByAge(t *journalTest) {
	age := time.Hour
	if t.realTime {
		age = 3 * time.Second // more than fill takes between a write and its event
	}
	j := t.retain(0, age)
	r, err := j.Create(t.Context(), aRun("1"), update.Event{Kind: update.EventLog})
	require.NoError(t, err)
	time.Sleep(age + age/4)
	all := fill(t, j, r)
	require.False(t, compacted(t, j, all[len(all)-2].Seq), "new events are kept")
}

func compactsByDefault(t *journalTest) {
	for _, r := range []struct {
		events int
		age    time.Duration
	}{{0, 0}, {-1, 0}, {0, -1}, {-100, -time.Hour}, {math.MinInt, math.MinInt64}, {math.MaxInt, math.MaxInt64}} {
		j := t.retain(r.events, r.age)
		run, err := j.Create(t.Context(), aRun("1"), update.Event{Kind: update.EventLog})
		require.NoError(t, err)
		for range 11 {
			time.Sleep(2 * time.Millisecond)
			run, err = j.Save(t.Context(), run, update.Event{Kind: update.EventLog})
			require.NoError(t, err)
		}
		require.Len(t, collect(t, j, 0, 12), 12, "all events are kept with a limit of %d, or %d ns", r.events, r.age)
	}
}
