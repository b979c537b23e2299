package storagetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
)

// WithinHarness describes an engine in the database of an application, whose
// stores can be used inside the application's transactions.
type WithinHarness struct {
	// Open returns an engine over a fresh database. The suite closes it.
	Open func(t testing.TB) storage.Backend
	// Begin begins a transaction of the application's on the database of b,
	// which Open returned.
	Begin func(t testing.TB, b storage.Backend) Transaction
}

// Transaction is one of an application.
type Transaction struct {
	Stores           storage.Backend // the engine's, inside
	Change           func() error    // something of the application's own
	Changes          func() int      // that are committed
	Commit, Rollback func() error
}

// RunWithin checks that stores inside a transaction of the application's are
// part of it, that nothing they refuse spoils it, that they are used side by
// side, and that they have neither a Watch nor a Close of their own.
func RunWithin(t *testing.T, h WithinHarness) {
	for name, run := range h.Cases() {
		t.Run(name, func(t *testing.T) { run(t) })
	}
}

// Cases yields the cases of RunWithin, for who proves that they catch a broken
// engine.
func (h WithinHarness) Cases() iter.Seq2[string, func(testing.TB)] {
	return func(yield func(string, func(testing.TB)) bool) {
		for _, c := range []struct {
			name string
			run  func(testing.TB, WithinHarness)
		}{
			{"what is written within happens with the transaction or not at all", withinOrNot},
			{"tables that a transaction took back are made again", withinTables},
			{"what is refused within leaves the transaction as it was", withinRefused},
			{"a context that has ended costs the transaction nothing", withinContext},
			{"stores within are used side by side", withinSideBySide},
			{"stores within are the same at every call", withinSame},
			{"a watch within is unsupported", withinWatch},
			{"closing what is within does nothing", withinClose},
			{"a closed engine refuses calls within", withinClosed},
			{"a watcher hears of what was written within", withinHeard},
		} {
			if !yield(c.name, func(t testing.TB) { c.run(t, h) }) {
				return
			}
		}
	}
}

func (h WithinHarness) open(t testing.TB) storage.Backend { return closing(t, h.Open(t)) }

// begin begins a transaction that ends with the test at the latest: a case that
// fails must not leave it in the way.
func (h WithinHarness) begin(t testing.TB, b storage.Backend) Transaction {
	tx := h.Begin(t, b)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func withinOrNot(t testing.TB, h WithinHarness) {
	for _, commits := range []bool{true, false} {
		b := h.open(t)
		work(t, b, 1)
		tx := h.begin(t, b)
		require.NoError(t, tx.Change())
		workUnwatched(t, tx.Stores, 2)
		requireHas(t, b, "work 2", false, "it is seen before the commit")
		if commits {
			require.NoError(t, tx.Commit())
			require.Equal(t, 1, tx.Changes())
			requireHas(t, b, "work 2", true, "it was committed")
			work(t, b, 3)
		} else {
			require.NoError(t, tx.Rollback())
			require.Equal(t, 0, tx.Changes())
			requireHas(t, b, "work 2", false, "it was rolled back")
			work(t, b, 2)
		}
	}
}

func withinTables(t testing.TB, h WithinHarness) {
	b := h.open(t)
	for range 2 {
		tx := h.begin(t, b)
		require.NoError(t, tx.Change())
		workUnwatched(t, tx.Stores, 1)
		workUnwatched(t, tx.Stores, 2)
		require.NoError(t, tx.Rollback())
	}
	tx := h.begin(t, b)
	workUnwatched(t, tx.Stores, 1)
	require.NoError(t, tx.Commit())
	work(t, b, 2)

	b = h.open(t)
	tx = h.begin(t, b)
	workUnwatched(t, tx.Stores, 1)
	require.NoError(t, tx.Rollback())
	work(t, b, 1)
}

func withinRefused(t testing.TB, h WithinHarness) {
	b := h.open(t)
	tx := h.begin(t, b)
	require.NoError(t, tx.Change())
	for _, s := range stores {
		s.refused(t, tx.Stores)
	}
	require.NoError(t, tx.Commit())

	require.Equal(t, 1, tx.Changes())
	requireHas(t, b, "kept", true, "it was written before others were refused")
	requireHas(t, b, "half", false, "half of what was refused is there")
}

func withinContext(t testing.TB, h WithinHarness) {
	b := h.open(t)
	tx := h.begin(t, b)
	ended, end := context.WithCancel(t.Context())
	end()
	for _, s := range stores {
		require.ErrorIs(t, s.write(ended, tx.Stores, "dropped"), context.Canceled, s.domain)
	}
	workUnwatched(t, tx.Stores, 1)
	require.NoError(t, tx.Commit())
	work(t, b, 2)
}

func withinSideBySide(t testing.TB, h WithinHarness) {
	b := h.open(t)
	tx := h.begin(t, b)
	var calls sync.WaitGroup
	for i := range 6 {
		for _, s := range stores {
			calls.Go(func() { assert.NoError(t, s.write(t.Context(), tx.Stores, fmt.Sprint(i))) })
		}
	}
	calls.Wait()
	require.NoError(t, tx.Commit())
	for i := range 6 {
		requireHas(t, b, fmt.Sprint(i), true, "it was committed")
	}
}

func withinSame(t testing.TB, h WithinHarness) {
	in := h.begin(t, h.open(t)).Stores
	for _, s := range stores {
		require.True(t, s.of(in) == s.of(in), s.domain)
	}
}

func withinWatch(t testing.TB, h WithinHarness) {
	tx := h.begin(t, h.open(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, after := range []int64{-1, 0, 1} {
		for _, s := range stores {
			if s.watch != nil {
				require.ErrorIs(t, alone(s.watch(ctx, tx.Stores, after)), errors.ErrUnsupported, s.domain)
			}
			require.NoError(t, s.write(t.Context(), tx.Stores, fmt.Sprint(after)), "the transaction goes on")
		}
	}
	require.NoError(t, tx.Commit())
}

func withinClose(t testing.TB, h WithinHarness) {
	b := h.open(t)
	tx := h.begin(t, b)
	for range 2 {
		require.NoError(t, tx.Stores.Close())
	}
	must(t, tx.Stores, "1")
	require.NoError(t, tx.Commit())
	requireHas(t, b, "1", true, "the engine goes on")
}

func withinClosed(t testing.TB, h WithinHarness) {
	b := h.open(t)
	work(t, b, 1)
	tx := h.begin(t, b)
	require.NoError(t, b.Close())
	for _, s := range stores {
		require.ErrorIs(t, s.write(t.Context(), tx.Stores, "mine"), storage.ErrClosed, s.domain)
		_, err := s.has(t.Context(), tx.Stores, "work 1")
		require.ErrorIs(t, err, storage.ErrClosed, s.domain)
	}
	require.NoError(t, tx.Change(), "the transaction is the application's")
	require.NoError(t, tx.Commit())
	require.Equal(t, 1, tx.Changes())
}

func withinHeard(t testing.TB, h WithinHarness) {
	b := h.open(t)
	work(t, b, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	heard := make(chan string, len(stores))
	var want []string
	for _, s := range stores {
		if s.watch != nil {
			want = append(want, fmt.Sprintf("%s %d <nil>", s.domain, s.events+1))
			go func() {
				for seq, err := range s.watch(ctx, b, int64(s.events)) {
					heard <- fmt.Sprintf("%s %d %v", s.domain, seq, err)
					break
				}
			}()
		}
	}
	tx := h.begin(t, b)
	must(t, tx.Stores, "within")
	require.NoError(t, tx.Commit())
	var got []string
	for range want {
		got = append(got, <-heard)
	}
	require.ElementsMatch(t, want, got)
}
