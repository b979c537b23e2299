package eventlog_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/eventlog"
)

var (
	errCompacted = errors.New("compacted")
	errClosed    = errors.New("closed")
)

func newLog() *eventlog.Log[string] {
	return &eventlog.Log[string]{Events: 3, Age: time.Hour, Compacted: errCompacted}
}

// read returns the events after a number that are there, and the error that
// ends the list, if one does.
func read[E any](t *testing.T, l *eventlog.Log[E], after int64) (events []E, err error) {
	t.Helper()
	there := l.Last() - after
	if there == 0 {
		return nil, nil
	}
	for e, err := range l.Watch(t.Context(), after) {
		if err != nil {
			return events, err
		}
		if events = append(events, e); int64(len(events)) == there {
			break
		}
	}
	return events, nil
}

func TestEventsAreNumberedAndReadInOrder(t *testing.T) {
	l, now := newLog(), time.Now()
	require.Zero(t, l.Last())
	l.Append(now, "a", "b")
	require.EqualValues(t, 2, l.Last())
	l.Append(now)
	require.EqualValues(t, 2, l.Last(), "nothing happened")
	l.Append(now, "c")
	for after, want := range [][]string{{"a", "b", "c"}, {"b", "c"}, {"c"}, nil} {
		got, err := read(t, l, int64(after))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestTooManyAndTooOldEventsAreForgotten(t *testing.T) {
	l, now := newLog(), time.Now()
	l.Append(now, "a", "b", "c", "d")
	require.EqualValues(t, 1, l.Forgotten())
	_, err := read(t, l, 0)
	require.ErrorIs(t, err, errCompacted)
	require.EqualError(t, err, "compacted: event 1")
	got, err := read(t, l, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c", "d"}, got)

	l.Append(now.Add(time.Hour), "e")
	require.EqualValues(t, 2, l.Forgotten(), "an hour is not too old")
	l.Append(now.Add(time.Hour + 1))
	require.EqualValues(t, 4, l.Forgotten(), "longer is, though nothing happened")
	_, err = read(t, l, 3)
	require.ErrorIs(t, err, errCompacted)
	l.Append(now.Add(3 * time.Hour))
	require.EqualValues(t, 5, l.Forgotten())
	require.EqualValues(t, 5, l.Last(), "numbers go on")
}

func TestWhatIsForgottenIsFree(t *testing.T) {
	l := &eventlog.Log[*[1 << 20]byte]{Events: 1, Age: time.Hour, Compacted: errCompacted}
	freed := make(chan struct{})
	big := new([1 << 20]byte)
	runtime.AddCleanup(big, func(freed chan struct{}) { close(freed) }, freed)
	l.Append(time.Now(), big, nil)
	big = nil
	runtime.GC()
	<-freed
	require.EqualValues(t, 1, l.Forgotten())
}

func TestAnEventThatIsNotYetIsOfAnotherHistory(t *testing.T) {
	l := newLog()
	for _, err := range l.Watch(t.Context(), 7) {
		require.ErrorIs(t, err, errCompacted)
	}
}

func TestEachRangeBeginsAnew(t *testing.T) {
	l := newLog()
	l.Append(time.Now(), "a", "b")
	events := l.Watch(t.Context(), 0)
	var got []string
	for range 2 {
		for e := range events {
			if got = append(got, e); e == "b" {
				break
			}
		}
	}
	require.Equal(t, []string{"a", "b", "a", "b"}, got)
}

func TestAReaderGetsAClone(t *testing.T) {
	l := &eventlog.Log[[]int]{Events: 3, Age: time.Hour, Clone: slices.Clone[[]int]}
	l.Append(time.Now(), []int{1})
	first, err := read(t, l, 0)
	require.NoError(t, err)
	first[0][0] = 2
	again, err := read(t, l, 0)
	require.NoError(t, err)
	require.Equal(t, [][]int{{1}}, again)
}

func TestAReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, now := newLog(), time.Now()
		l.Append(now, "old")
		ctx, stop := context.WithCancel(t.Context())
		var got [2][]string
		for i, after := range []int64{-1, 1} {
			go func() {
				events := l.Watch(ctx, after)
				for range 2 {
					for e, err := range events {
						if err != nil {
							e = err.Error()
						}
						got[i] = append(got[i], e)
					}
				}
			}()
		}
		synctest.Wait()
		require.Equal(t, [2][]string{}, got)
		l.Append(now, "new")
		synctest.Wait()
		require.Equal(t, [2][]string{{"new"}, {"new"}}, got)
		stop()
		synctest.Wait()
		ended := context.Canceled.Error()
		require.Equal(t, [2][]string{{"new", ended, ended}, {"new", ended, ended}}, got)
	})
}

func TestCloseEndsEveryWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		var end error
		go func() {
			for _, err := range l.Watch(t.Context(), 0) {
				end = err
			}
		}()
		synctest.Wait()
		require.NoError(t, end)
		l.Append(time.Now(), "last")
		synctest.Wait()
		require.NoError(t, end)
		l.Close(errClosed)
		synctest.Wait()
		require.ErrorIs(t, end, errClosed)
		for _, err := range l.Watch(t.Context(), -1) {
			require.ErrorIs(t, err, errClosed)
		}
	})
}
