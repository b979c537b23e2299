package syncertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

func TestCountedAndFaultyKeepEveryPromise(t *testing.T) {
	for name, wrap := range map[string]func(*heap) cloudsync.Remote{
		"counted": func(h *heap) cloudsync.Remote { return syncertest.Counted(h) },
		"faulty":  func(h *heap) cloudsync.Remote { return syncertest.Faulty(h) },
	} {
		t.Run(name, func(t *testing.T) {
			syncertest.RunRemote(t, syncertest.RemoteHarness{Open: func(testing.TB) cloudsync.Remote { return wrap(newHeap()) }})
		})
	}
}

// all are the names that a list has before it ends, or fails.
func all(t *testing.T, r cloudsync.Remote) (names []string, err error) {
	for o, e := range r.List(t.Context(), "", "") {
		if e != nil {
			return names, e
		}
		names = append(names, o.Name)
	}
	return names, nil
}

func got(t *testing.T, r cloudsync.Remote, name string) (string, error) {
	in, err := r.Get(t.Context(), name, 0, -1)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(in)
	return string(data), errors.Join(err, in.Close())
}

func TestCountedCountsCallsAndBytes(t *testing.T) {
	c := syncertest.Counted(newHeap())
	require.NoError(t, c.PutIfAbsent(t.Context(), "one", text("12345")))
	require.ErrorIs(t, c.PutIfAbsent(t.Context(), "one", text("123")), cloudsync.ErrExists)
	_, err := got(t, c, "one")
	require.NoError(t, err)
	_, err = got(t, c, "two")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	_, err = all(t, c)
	require.NoError(t, err)
	require.NoError(t, c.Delete(t.Context(), "one"))
	require.Equal(t, syncertest.Counts{Puts: 2, Gets: 2, Lists: 1, Deletes: 1, Sent: 8, Received: 5, Trips: 6}, c.Counts())
	c.Reset()
	require.Zero(t, c.Counts())
}

func TestCountedCountsPagesOfLists(t *testing.T) {
	c := syncertest.Counted(newHeap())
	for i := range 2001 {
		require.NoError(t, c.PutIfAbsent(t.Context(), fmt.Sprint(i), text("")))
	}
	c.Reset()
	_, err := all(t, c)
	require.NoError(t, err)
	for range c.List(t.Context(), "", "") {
		break
	}
	require.Equal(t, syncertest.Counts{Lists: 4, Trips: 4}, c.Counts())
}

// slow answers puts in a second.
type slow struct{ *heap }

func (s slow) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	time.Sleep(time.Second)
	return s.heap.PutIfAbsent(ctx, name, body)
}

func TestCountedCountsWhatWaitsForSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := syncertest.Counted(slow{newHeap()})
		var work sync.WaitGroup
		for i := range 50 { // at the same time
			work.Go(func() { _ = c.PutIfAbsent(t.Context(), fmt.Sprint("a", i), text("12345")) })
		}
		work.Wait()
		require.Equal(t, 1, c.Counts().Trips)
		for i := range 2 { // two chains, which begin one after the other
			work.Go(func() {
				time.Sleep(time.Duration(i) * time.Second / 2)
				for j := range 3 {
					_ = c.PutIfAbsent(t.Context(), fmt.Sprint("b", i, "/", j), text("12345"))
				}
			})
		}
		work.Wait()
		require.Equal(t, 4, c.Counts().Trips)
	})
	c := syncertest.Counted(newHeap())
	require.NoError(t, c.PutIfAbsent(t.Context(), "one", text("12345")))
	c.Reset()
	for _, whole := range []bool{false, true} { // two at the same time, and then two that wait for what is read
		for range 2 {
			r, err := c.Get(t.Context(), "one", 1, 3)
			require.NoError(t, err)
			if whole {
				_, err = io.ReadFull(r, make([]byte, 3))
				require.NoError(t, err)
			}
			defer r.Close()
		}
	}
	require.Equal(t, syncertest.Counts{Gets: 4, Received: 6, Trips: 2}, c.Counts())
}

func TestFaultyFailsAsOftenAsItIsTold(t *testing.T) {
	weather := errors.New("the connection was reset")
	f := syncertest.Faulty(newHeap())
	require.NoError(t, f.PutIfAbsent(t.Context(), "old", text("12345")))

	f.Fail(syncertest.Put, 2, weather)
	f.FailAfter(syncertest.Put, 1, syncertest.Unavailable(time.Minute))
	require.Equal(t, 3, f.Left())
	for range 2 {
		require.ErrorIs(t, f.PutIfAbsent(t.Context(), "new", text("123456")), weather)
		_, err := got(t, f, "new")
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	}
	err := f.PutIfAbsent(t.Context(), "new", text("123456"))
	require.ErrorIs(t, err, cloudsync.ErrUnavailable)
	var later *cloudsync.UnavailableError
	require.ErrorAs(t, err, &later)
	require.Equal(t, time.Minute, later.After)
	require.ErrorIs(t, f.PutIfAbsent(t.Context(), "new", text("123456")), cloudsync.ErrExists)

	f.Fail(syncertest.Get, 1, weather)
	f.FailAfter(syncertest.Get, 1, weather)
	f.Truncate(1)
	for _, want := range []string{"", "123", "123"} {
		content, err := got(t, f, "new")
		require.Equal(t, want, content)
		require.Equal(t, f.Left() > 0, errors.Is(err, weather))
	}

	f.Fail(syncertest.List, 1, weather)
	f.FailAfter(syncertest.List, 1, weather)
	f.Hide(2)
	for _, want := range [][]string{nil, {"new", "old"}, {"old"}, {"old"}, {"new", "old"}} {
		names, err := all(t, f)
		require.Equal(t, want, names)
		require.Equal(t, f.Left() > 1, errors.Is(err, weather), "%v", names)
	}

	f.Fail(syncertest.Delete, 1, weather)
	f.FailAfter(syncertest.Delete, 1, weather)
	for _, there := range []bool{true, false} {
		require.ErrorIs(t, f.Delete(t.Context(), "new"), weather)
		_, err := got(t, f, "new")
		require.Equal(t, there, err == nil)
	}
	require.Zero(t, f.Left())
}

// text is a Body.
func text(s string) cloudsync.Body { return strings.NewReader(s) }
