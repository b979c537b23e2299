package storagetest

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// backendCase is a promise of storage.Backend, in words, and its check.
type backendCase struct {
	name string
	run  func(testing.TB, Harness)
}

func (h Harness) cases() []backendCase {
	cases := []backendCase{
		{"an engine always returns the same stores", sameStores},
		{"an engine may be closed twice", closedTwice},
		{"a closed engine refuses every call", closedRefuses},
		{"closing an engine ends every watch", closingEndsWatches},
		{"a call that meets the closing is done or refused", closingAmidCalls},
		{"a closed engine leaves no goroutine behind", nothingLeft},
	}
	if h.Again != nil {
		cases = append(cases,
			backendCase{"leases and tokens survive reopening", locksSurvive},
			backendCase{"runs and events survive reopening", runsSurvive},
		)
	}
	return cases
}

// aRun returns a run that can be created.
func aRun(id string) update.Run {
	return update.Run{
		ID: id, Package: "demo/site", Item: id, State: update.StateRunning, Token: 5,
		Steps: []update.StepRecord{{Name: "publish", Data: []byte(`{"a": 1}`)}},
	}
}

func sameStores(t testing.TB, h Harness) {
	b := h.open(t)
	for _, stores := range [][2]any{
		{b.Locker(), b.Locker()},
		{b.Journal(), b.Journal()},
	} {
		require.True(t, reflect.TypeOf(stores[0]).Comparable(), "%T is not comparable", stores[0])
		require.True(t, stores[0] == stores[1], "two calls return two values of %T", stores[0])
	}
	require.False(t, b.Locker() == h.open(t).Locker(), "two engines share a Locker")
}

func closedTwice(t testing.TB, h Harness) {
	b := h.open(t)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "a closed engine may be closed again")
}

func closedRefuses(t testing.TB, h Harness) {
	b := h.open(t)
	ctx := t.Context()
	locker, journal := b.Locker(), b.Journal()
	lease, err := locker.Acquire(ctx, "core", "me", time.Hour)
	require.NoError(t, err)
	run, err := journal.Create(ctx, aRun("1"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	history, watch := journal.History(ctx, update.Query{}), journal.Watch(ctx, 0)
	require.NoError(t, b.Close())

	_, acquire := locker.Acquire(ctx, "other", "me", time.Hour)
	_, renew := locker.Renew(ctx, lease, time.Hour)
	release := locker.Release(ctx, lease)
	_, holder := locker.Holder(ctx, "core")
	_, create := journal.Create(ctx, aRun("2"))
	_, save := journal.Save(ctx, run)
	_, get := journal.Get(ctx, "1")
	for op, err := range map[string]error{
		"Acquire": acquire, "Renew": renew, "Release": release, "Holder": holder,
		"Create": create, "Save": save, "Get": get,
	} {
		require.ErrorIs(t, err, storage.ErrClosed, op)
	}
	pairs := 0
	for _, err := range history {
		require.ErrorIs(t, err, storage.ErrClosed, "History")
		pairs++
	}
	for _, err := range watch {
		require.ErrorIs(t, err, storage.ErrClosed, "Watch")
		pairs++
	}
	for _, err := range b.Journal().Watch(ctx, -1) {
		require.ErrorIs(t, err, storage.ErrClosed, "Watch")
		pairs++
	}
	require.Equal(t, 3, pairs, "an error is the last pair")
}

func closingEndsWatches(t testing.TB, h Harness) {
	b := h.open(t)
	_, err := b.Journal().Create(t.Context(), aRun("1"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const watchers = 3
	waiting := make(chan bool, watchers)
	ended := make(chan error, watchers)
	for range watchers {
		go func() {
			var last error
			for _, last = range b.Journal().Watch(ctx, 0) {
				waiting <- true
			}
			ended <- last
		}()
	}
	for range watchers {
		<-waiting
	}
	time.Sleep(10 * time.Millisecond) // so that they wait
	require.NoError(t, b.Close())
	for range watchers {
		require.ErrorIs(t, <-ended, storage.ErrClosed, "a Watch ends with the engine")
	}
}

func closingAmidCalls(t testing.TB, h Harness) {
	b := h.open(t)
	const writers = 8
	done := make([]int, writers) // runs that were acknowledged
	var wg sync.WaitGroup
	var begun sync.WaitGroup
	for w := range writers {
		begun.Add(1)
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := b.Journal().Create(t.Context(), aRun(fmt.Sprint(w, "/", i)))
				if i == 0 {
					begun.Done()
				}
				if err != nil {
					assert.ErrorIs(t, err, storage.ErrClosed, "a call is done or refused")
					return
				}
				done[w]++
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	begun.Wait()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, b.Close(), "Close waits for the calls under way")
	wg.Wait()
	if h.Again == nil {
		return
	}
	again := closing(t, h.Again(t, b))
	for w, n := range done {
		require.Positive(t, n)
		_, err := again.Journal().Get(t.Context(), fmt.Sprint(w, "/", n-1))
		require.NoError(t, err, "what was acknowledged is there")
		_, err = again.Journal().Get(t.Context(), fmt.Sprint(w, "/", n))
		require.ErrorIs(t, err, update.ErrNotFound, "what was refused is not there")
	}
}

func nothingLeft(t testing.TB, h Harness) {
	h.use(t) // what the first use starts for good, in a driver or the runtime
	before := runtime.NumGoroutine()
	for range 3 {
		h.use(t)
	}
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before, "a closed engine leaves goroutines behind")
}

// use opens an engine, uses all of it, and closes it.
func (h Harness) use(t testing.TB) {
	b := h.open(t)
	for i := range 20 {
		l, err := b.Locker().Acquire(t.Context(), "core", "me", time.Hour)
		require.NoError(t, err)
		_, err = b.Journal().Create(t.Context(), aRun(fmt.Sprint(i)), update.Event{})
		require.NoError(t, err)
		for _, err := range b.Journal().Watch(t.Context(), 0) {
			require.NoError(t, err)
			break
		}
		require.NoError(t, b.Locker().Release(t.Context(), l))
	}
	require.NoError(t, b.Close())
}
