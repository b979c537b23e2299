package storagetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"reflect"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
)

// backendCase is a promise of storage.Backend, in words, and its check.
type backendCase struct {
	Name string
	Run  func(testing.TB, Harness)
}

func (h Harness) cases() (cases []suitetest.Case) {
	promises := []backendCase{
		{"an engine always returns the same stores", sameStores},
		{"an engine may be closed twice", closedTwice},
		{"a closed engine refuses every call", closedRefuses},
		{"closing an engine ends every watch", closingEndsWatches},
		{"a call that meets the closing is done or refused", closingAmidCalls},
		{"a closed engine leaves no goroutine behind", nothingLeft},
	}
	for _, s := range stores {
		if h.Again != nil {
			promises = append(promises, s.reopening...)
		}
	}
	for _, p := range promises {
		cases = append(cases, suitetest.Case{Name: p.Name, Run: func(t testing.TB) { p.Run(t, h) }})
	}
	return cases
}

// reopen closes an engine and opens its state again.
func (h Harness) reopen(t testing.TB, b storage.Backend) storage.Backend {
	t.Helper()
	require.NoError(t, b.Close())
	return closing(t, h.Again(t, b))
}

func sameStores(t testing.TB, h Harness) {
	b, other := h.open(t), h.open(t)
	for _, s := range stores {
		require.True(t, reflect.TypeOf(s.of(b)).Comparable(), "%T is not comparable", s.of(b))
		require.True(t, s.of(b) == s.of(b), "two calls return two values of %T", s.of(b))
		require.False(t, s.of(b) == s.of(other), "two engines share a %T", s.of(b))
	}
}

func closedTwice(t testing.TB, h Harness) {
	b := h.open(t)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "a closed engine may be closed again")
}

func closedRefuses(t testing.TB, h Harness) {
	b := h.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	workUnwatched(t, b, 1)
	var calls []call
	for _, s := range stores {
		calls = append(calls, s.calls(ctx, b)...)
	}
	require.NoError(t, b.Close())
	for _, s := range stores {
		calls = append(calls, s.calls(ctx, b)...)
	}
	for _, c := range calls {
		require.ErrorIs(t, c.do(), storage.ErrClosed, c.op)
	}
}

func closingEndsWatches(t testing.TB, h Harness) {
	b := h.open(t)
	must(t, b, "1")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	waiting, ended := make(chan bool, 100), make(chan error, 100)
	watchers := 0
	for _, s := range stores {
		for i := 0; i < 3 && s.watch != nil; i++ {
			watchers++
			go func() { ended <- lastOf(s.watch(ctx, b, 0), waiting) }()
		}
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

// lastOf tells of every pair of a list and returns the error of the last.
func lastOf[T any](all iter.Seq2[T, error], pairs chan<- bool) (last error) {
	for _, last = range all {
		pairs <- true
	}
	return last
}

func closingAmidCalls(t testing.TB, h Harness) {
	b := h.open(t)
	const writers = 8
	done := make([]int, writers) // that were acknowledged
	of := func(w int) store { return stores[w%len(stores)] }
	var wg, begun sync.WaitGroup
	for w := range writers {
		begun.Add(1)
		wg.Go(func() {
			for i := 0; ; i++ {
				err := of(w).write(t.Context(), b, fmt.Sprint(w, "/", i))
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
		has, err := of(w).has(t.Context(), again, fmt.Sprint(w, "/", n-1))
		require.NoError(t, err)
		require.True(t, has, "what was acknowledged is there")
		has, err = of(w).has(t.Context(), again, fmt.Sprint(w, "/", n))
		require.NoError(t, err)
		require.False(t, has, "what was refused is not there")
	}
}

// nothingLeft knows the goroutines of an engine by a label, which those that they
// start inherit: other tests may run beside it.
func nothingLeft(t testing.TB, h Harness) {
	h.use(t) // what the first use starts for good, in a driver or the runtime
	label := rand.Text()
	pprof.Do(t.Context(), pprof.Labels("engine", label), func(context.Context) {
		for range 3 {
			h.use(t)
		}
	})
	var left bytes.Buffer
	for range 500 {
		left.Reset()
		require.NoError(t, pprof.Lookup("goroutine").WriteTo(&left, 1))
		if !strings.Contains(left.String(), label) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(t, "a closed engine leaves goroutines behind", "those with the label %s of\n%s", label, &left)
}

// use opens an engine, uses all of it, and closes it.
func (h Harness) use(t testing.TB) {
	b := h.open(t)
	for i := range 20 {
		work(t, b, i+1)
	}
	require.NoError(t, b.Close())
}
