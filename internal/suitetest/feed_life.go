package suitetest

import (
	"context"
	"math"
	"time"

	"github.com/stretchr/testify/require"
)

func (t *feedTest[S, E]) ends() {
	t.write(t.store, "a", 100)
	w := t.watch(0)
	for range 100 {
		w.next(t)
	}
	time.Sleep(20 * time.Millisecond) // so that it waits
	w.cancel()
	select {
	case err := <-w.err:
		require.ErrorIs(t, err, context.Canceled, "a Watch that waits ends with the context's error")
	case <-time.After(Soon):
		require.Fail(t, "Watch goes on", "a Watch that waits ends with its context")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	var last error
	for _, err := range t.Watch(t.store, ctx, 0) {
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
	for _, err := range t.Watch(t.store, deadline, 0) {
		last = err
	}
	require.ErrorIs(t, last, context.DeadlineExceeded, "the error is that of the context")
}

func (t *feedTest[S, E]) isLeft() {
	t.write(t.store, "a", 20)
	list := t.Watch(t.store, t.Context(), 0)
	for range 3 {
		n := 0
		for e, err := range list {
			require.NoError(t, err)
			_, _, number := t.Told(t, e)
			require.Equal(t, n, number, "each range over a Watch begins anew")
			if n++; n == 5 {
				break
			}
		}
		require.Equal(t, 5, n)
	}
	t.collect(t.store, 0, 20) // a Watch that was left does no harm
}

func (t *feedTest[S, E]) watcherWrites() {
	write := t.Writer(t, t.store, "a")
	require.NoError(t, write(0, 1))
	ctx, cancel := context.WithTimeout(t.Context(), Soon)
	defer cancel()
	n := 0
	for e, err := range t.Watch(t.store, ctx, 0) {
		require.NoError(t, err, "a watcher sees what it writes")
		_, _, number := t.Told(t, e)
		require.Equal(t, n, number, "a watcher sees what it writes")
		if n++; n == 20 {
			break
		}
		t.Read(t, t.store, e)
		require.NoError(t, write(n, 1), "a watcher may write")
	}
	require.Equal(t, 20, n, "a watcher sees what it writes")
}

// fill writes events in lots of 50 until the first is compacted, and returns
// all of them. The first is there.
func (t *feedTest[S, E]) fill(s S, write func(first, n int) error) []E {
	all := t.collect(s, 0, 1)
	for range 100 {
		require.NoError(t, write(len(all), 50))
		all = append(all, t.collect(s, t.seq(all[len(all)-1]), 50)...)
		if t.compacted(s, 0) {
			return all
		}
	}
	require.Fail(t, "events were never compacted", "an engine keeps no more than its limit, give or take 5,000")
	return nil
}

// compacted reports whether the event that follows after is gone.
func (t *feedTest[S, E]) compacted(s S, after int64) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Soon)
	defer cancel()
	pairs, gone := 0, false
	for _, err := range t.Watch(s, ctx, after) {
		pairs++
		if err == nil && !gone {
			return false
		}
		require.ErrorIs(t, err, t.Compacted, "a reader that comes too late is told")
		gone = true
	}
	require.Equal(t, 1, pairs, "it is the last pair")
	return gone
}

func (t *feedTest[S, E]) compactsByCount() {
	const limit = 100
	s := t.Retain(t, limit, 0)
	write := t.Writer(t, s, "a")
	require.NoError(t, write(0, 1))
	all := t.fill(s, write)
	require.Greater(t, len(all), limit, "the last %d events are kept", limit)
	kept := all[len(all)-limit:]
	require.Equal(t, kept[1:], t.collect(s, t.seq(kept[0]), limit-1), "the last %d events are kept", limit)
	require.Equal(t, kept, t.collect(s, t.seq(all[len(all)-limit-1]), limit), "what follows the last event that is gone is kept")
	t.Kept(t, s, all, kept)
}

func (t *feedTest[S, E]) compactsByAge() {
	age := time.Hour
	if t.RealTime {
		age = 3 * time.Second // more than fill takes between a write and its event
	}
	s := t.Retain(t, 0, age)
	write := t.Writer(t, s, "a")
	require.NoError(t, write(0, 1))
	time.Sleep(age + age/4)
	all := t.fill(s, write)
	require.False(t, t.compacted(s, t.seq(all[len(all)-2])), "new events are kept")
}

func (t *feedTest[S, E]) compactsByDefault() {
	for _, r := range []struct {
		events int
		age    time.Duration
	}{{0, 0}, {-1, 0}, {0, -1}, {-100, -time.Hour}, {math.MinInt, math.MinInt64}, {math.MaxInt, math.MaxInt64}} {
		s := t.Retain(t, r.events, r.age)
		write := t.Writer(t, s, "a")
		for n := range 12 {
			require.NoError(t, write(n, 1))
			time.Sleep(2 * time.Millisecond)
		}
		require.Len(t, t.collect(s, 0, 12), 12, "all events are kept with a limit of %d, or %d ns", r.events, r.age)
	}
}
