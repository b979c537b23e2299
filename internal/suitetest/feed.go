package suitetest

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Soon is when a watcher has at the latest what was written in its process.
const Soon = 5 * time.Second

// Elsewhere is the writer whose events are of another part of a store, if a
// store has parts.
const Elsewhere = "elsewhere"

// Feed says how the stores of a domain are written and watched. Cases are the
// promises that every Watch keeps.
type Feed[S, E any] struct {
	Harness[S]
	Watch     func(s S, ctx context.Context, after int64) iter.Seq2[E, error] // the method of S
	Compacted error                                                           // the domain's
	// Writer returns what writes n events, of the numbers from first on: those of
	// one writer, who begins with the number 0.
	Writer func(t testing.TB, s S, writer string) func(first, n int) error
	// Told returns the Seq of an event, its writer and its number.
	Told func(t testing.TB, e E) (seq int64, writer string, number int)
	// Read checks that a store shows what its newest event tells.
	Read func(t testing.TB, s S, e E)
	// Kept checks what else holds once only the last of all events are kept.
	Kept func(t testing.TB, s S, all, kept []E)
	// Passed is called with the store of a case that has passed. May be nil.
	Passed func(t testing.TB, s S)
}

// Cases returns the cases that the engine can be asked.
func (f Feed[S, E]) Cases() []Case {
	type promise struct {
		Name string
		Run  func(*feedTest[S, E])
	}
	promises := []promise{
		{"watch goes on after any event", (*feedTest[S, E]).goesOn},
		{"a watch after an event that is not yet there is told so", (*feedTest[S, E]).future},
		{"a negative watch begins with the next event", (*feedTest[S, E]).next},
		{"watch waits for more", (*feedTest[S, E]).waits},
		{"watch loses nothing of many writers", (*feedTest[S, E]).losesNothing},
		{"watch ends with the context's error", (*feedTest[S, E]).ends},
		{"watch can be left and read again", (*feedTest[S, E]).isLeft},
		{"a watcher may use the store", (*feedTest[S, E]).watcherWrites},
	}
	if f.Again != nil {
		promises = append(promises, promise{"watch sees the events of other handles", (*feedTest[S, E]).handles})
	}
	if f.Retain != nil {
		promises = append(promises,
			promise{"events beyond the limit are compacted", (*feedTest[S, E]).compactsByCount},
			promise{"old events are compacted", (*feedTest[S, E]).compactsByAge},
			promise{"a limit that is not positive is the default", (*feedTest[S, E]).compactsByDefault},
		)
	}
	for i, p := range promises {
		promises[i].Run = func(t *feedTest[S, E]) {
			p.Run(t)
			if t.Passed != nil {
				t.Passed(t, t.store)
			}
		}
	}
	return On(func(t testing.TB) *feedTest[S, E] { return &feedTest[S, E]{TB: t, Feed: f, store: f.Open(t)} }, promises)
}

// feedTest is what a case works with.
type feedTest[S, E any] struct {
	testing.TB
	Feed[S, E]
	store S // fresh
}

// Collect returns the first n items of a list, for which it waits.
func Collect[T any](t testing.TB, n int, list func(context.Context) iter.Seq2[T, error]) (items []T) {
	t.Helper()
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for item, err := range list(ctx) {
		require.NoError(t, err, "after %d of %d items", len(items), n)
		if items = append(items, item); len(items) == n {
			break
		}
	}
	require.Len(t, items, n, "a Watch does not end by itself")
	return items
}

func (t *feedTest[S, E]) collect(s S, after int64, n int) []E {
	t.Helper()
	return Collect(t, n, func(ctx context.Context) iter.Seq2[E, error] { return t.Watch(s, ctx, after) })
}

func (t *feedTest[S, E]) seq(e E) int64 {
	seq, _, _ := t.Told(t, e)
	return seq
}

// write writes the first n events of a writer, one by one.
func (t *feedTest[S, E]) write(s S, writer string, n int) {
	write := t.Writer(t, s, writer)
	for i := range n {
		if !assert.NoError(t, write(i, 1)) {
			return
		}
	}
}

// requireAllOf checks that events are all that writers wrote, in order.
func (t *feedTest[S, E]) requireAllOf(events []E, writers, writes int) {
	t.Helper()
	require.Len(t, events, writers*writes, "Watch loses no event")
	next := make(map[string]int)
	var last int64
	for _, e := range events {
		seq, writer, number := t.Told(t, e)
		require.Greater(t, seq, last, "Seq rises")
		last = seq
		require.Equal(t, next[writer], number, "the events of a writer come once each, in order")
		next[writer]++
	}
}

// watcher reads a Watch in the background.
type watcher[E any] struct {
	cancel context.CancelFunc
	events chan E
	err    chan error // what ended it; nil if it ended without an error
}

// watch starts a watcher, which ends with the case at the latest.
func (t *feedTest[S, E]) watch(after int64) *watcher[E] {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher[E]{cancel: cancel, events: make(chan E, 1000), err: make(chan error, 1)}
	go func() {
		var last error
		for e, err := range t.Watch(t.store, ctx, after) {
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
func (w *watcher[E]) next(t testing.TB) E {
	t.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(Soon):
		require.Fail(t, "no event has come", "a watcher is woken by a write")
	}
	panic("unreachable")
}

func (t *feedTest[S, E]) goesOn() {
	t.write(t.store, "a", 10)
	t.write(t.store, Elsewhere, 10)
	all := t.collect(t.store, 0, 20)
	for i, e := range all {
		require.Equal(t, append([]E(nil), all[i+1:]...), t.collect(t.store, t.seq(e), 19-i), "Watch yields what follows event %d", i+1)
	}
	w := t.watch(t.seq(all[19]))
	t.write(t.store, "c", 1)
	seq, writer, _ := t.Told(t, w.next(t))
	require.Equal(t, "c", writer, "after the last event comes the next one")
	require.Greater(t, seq, t.seq(all[19]), "Seq rises")
}

func (t *feedTest[S, E]) future() {
	require.True(t, t.compacted(t.store, 1), "an event that is not yet there is of another history")
	t.write(t.store, "a", 10)
	newest := t.seq(t.collect(t.store, 0, 10)[9])
	for _, after := range []int64{newest + 1, newest + 1000, math.MaxInt64} {
		require.True(t, t.compacted(t.store, after), "event %d is not yet there", after)
	}
	require.False(t, t.compacted(t.store, newest-1))
}

func (t *feedTest[S, E]) next() {
	t.write(t.store, "old", 10)
	w := t.watch(-1)
	var e E
	tries := 0
	for waiting := true; waiting; tries++ { // until the watcher has begun
		require.Less(t, tries, 1000, "a watcher sees what is written after it began")
		t.write(t.store, fmt.Sprint("new ", tries), 1)
		select {
		case e = <-w.events:
			waiting = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	seq, writer, number := t.Told(t, e)
	require.NotEqual(t, "old", writer, "a negative Watch begins with the next event")
	t.write(t.store, "more", 5)
	for writer != "more" || number != 4 {
		next := w.next(t)
		require.Equal(t, t.collect(t.store, seq, 1)[0], next, "from there nothing is left out")
		seq, writer, number = t.Told(t, next)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for e, err := range t.Watch(t.store, canceled, -5) {
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, e)
	}
}

func (t *feedTest[S, E]) waits() {
	watchers := []*watcher[E]{t.watch(0), t.watch(0), t.watch(0)}
	write := t.Writer(t, t.store, "a")
	for i := range 5 {
		time.Sleep(20 * time.Millisecond) // so that they wait
		before := time.Now()
		require.NoError(t, write(i, 1))
		for _, w := range watchers {
			_, _, number := t.Told(t, w.next(t))
			require.Equal(t, i, number, "every watcher gets every event")
		}
		require.Less(t, time.Since(before), Soon, "watchers are woken by a write")
	}
}

func (t *feedTest[S, E]) losesNothing() {
	const writers, writes = 8, 25
	var eager, slow []E
	read := func(into *[]E, pause time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for e, err := range t.Watch(t.store, ctx, 0) {
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
		wg.Go(func() { t.write(t.store, fmt.Sprint("writer ", i), writes) })
	}
	wg.Wait()
	t.requireAllOf(eager, writers, writes)
	require.Equal(t, eager, slow, "every watcher sees the same events")
	require.Equal(t, eager, t.collect(t.store, 0, writers*writes), "the events stay in the order in which they were seen")
}

func (t *feedTest[S, E]) handles() {
	other := t.Again(t, t.store)
	const writers, writes = 4, 10
	var seen []E
	var wg sync.WaitGroup
	wg.Go(func() { seen = t.collect(t.store, 0, 2*writers*writes) })
	for i := range writers {
		wg.Go(func() { t.write(t.store, fmt.Sprint("here ", i), writes) })
		wg.Go(func() { t.write(other, fmt.Sprint("there ", i), writes) })
	}
	wg.Wait()
	t.requireAllOf(seen, 2*writers, writes)
	require.Equal(t, seen, t.collect(other, 0, len(seen)), "every handle sees the same events")
}
