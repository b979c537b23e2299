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

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
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
		_, err := tx.Stores.Locker().Acquire(t.Context(), "mine", "me", time.Hour)
		require.NoError(t, err)
		_, err = b.Journal().Get(t.Context(), "run 2")
		require.ErrorIs(t, err, update.ErrNotFound, "it is seen before the commit")
		_, err = b.Locker().Holder(t.Context(), "mine")
		require.ErrorIs(t, err, lease.ErrFree, "it is seen before the commit")
		require.Len(t, all(t, b.Versions().Rows(t.Context(), pages, lv.View{})), 1, "it is seen before the commit")
		if commits {
			require.NoError(t, tx.Commit())
			require.Equal(t, 1, tx.Changes())
			_, err = b.Locker().Holder(t.Context(), "mine")
			require.NoError(t, err)
			work(t, b, 3)
		} else {
			require.NoError(t, tx.Rollback())
			require.Equal(t, 0, tx.Changes())
			_, err = b.Locker().Holder(t.Context(), "mine")
			require.ErrorIs(t, err, lease.ErrFree)
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
	ctx, b := t.Context(), h.open(t)
	tx := h.begin(t, b)
	in := tx.Stores
	require.NoError(t, tx.Change())
	_, err := in.Locker().Acquire(ctx, "mine", "me", time.Hour)
	require.NoError(t, err)
	run, err := in.Journal().Create(ctx, aRun("1"))
	require.NoError(t, err)
	_, err = in.Locker().Acquire(ctx, "mine", "you", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld)
	_, err = in.Journal().Create(ctx, aRun("1"))
	require.ErrorIs(t, err, update.ErrExists)
	run.Rev++
	_, err = in.Journal().Save(ctx, run)
	require.ErrorIs(t, err, update.ErrStale)
	_, err = in.Versions().Write(ctx, pages, append(saving("a", 1), lv.Edit{Op: lv.OpDelete, Row: "none"}), ann)
	require.ErrorIs(t, err, lv.ErrNotFound)
	require.NoError(t, tx.Commit())

	require.Equal(t, 1, tx.Changes())
	_, err = b.Locker().Holder(ctx, "mine")
	require.NoError(t, err)
	require.Len(t, all(t, b.Journal().History(ctx, update.Query{})), 1)
	require.Empty(t, all(t, b.Versions().Rows(ctx, pages, lv.View{Working: true})), "half of what was refused is there")
}

func withinContext(t testing.TB, h WithinHarness) {
	b := h.open(t)
	tx := h.begin(t, b)
	ended, end := context.WithCancel(t.Context())
	end()
	_, acquire := tx.Stores.Locker().Acquire(ended, "core", "me", time.Hour)
	_, create := tx.Stores.Journal().Create(ended, aRun("dropped"))
	_, write := tx.Stores.Versions().Write(ended, pages, saving("a", 1), ann)
	for _, err := range []error{acquire, create, write} {
		require.ErrorIs(t, err, context.Canceled)
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
		calls.Go(func() {
			_, err := tx.Stores.Locker().Acquire(t.Context(), fmt.Sprint(i), "me", time.Hour)
			assert.NoError(t, err)
		})
		calls.Go(func() {
			_, err := tx.Stores.Journal().Create(t.Context(), aRun(fmt.Sprint(i)))
			assert.NoError(t, err)
		})
		calls.Go(func() {
			_, err := tx.Stores.Versions().Write(t.Context(), pages, saving(fmt.Sprint(i), i), ann)
			assert.NoError(t, err)
		})
	}
	calls.Wait()
	require.NoError(t, tx.Commit())
	require.Len(t, all(t, b.Journal().History(t.Context(), update.Query{})), 6)
	require.Len(t, all(t, b.Versions().Rows(t.Context(), pages, lv.View{Working: true})), 6)
}

func withinSame(t testing.TB, h WithinHarness) {
	in := h.begin(t, h.open(t)).Stores
	require.True(t, in.Locker() == in.Locker())
	require.True(t, in.Journal() == in.Journal())
	require.True(t, in.Versions() == in.Versions())
}

func withinWatch(t testing.TB, h WithinHarness) {
	tx := h.begin(t, h.open(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for _, after := range []int64{-1, 0, 1} {
		requireUnsupported(t, tx.Stores.Journal().Watch(ctx, after))
		requireUnsupported(t, tx.Stores.Versions().Watch(ctx, after))
		_, err := tx.Stores.Journal().Create(t.Context(), aRun(fmt.Sprint(after)), update.Event{Kind: update.EventStarted})
		require.NoError(t, err, "the transaction goes on")
	}
	require.NoError(t, tx.Commit())
}

func requireUnsupported[T any](t testing.TB, watch iter.Seq2[T, error]) {
	t.Helper()
	pairs := 0
	for _, err := range watch {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		pairs++
	}
	require.Equal(t, 1, pairs, "an error is the last pair")
}

func withinClose(t testing.TB, h WithinHarness) {
	b := h.open(t)
	tx := h.begin(t, b)
	for range 2 {
		require.NoError(t, tx.Stores.Close())
	}
	_, err := tx.Stores.Journal().Create(t.Context(), aRun("1"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	_, err = b.Journal().Get(t.Context(), "1")
	require.NoError(t, err, "the engine goes on")
}

func withinClosed(t testing.TB, h WithinHarness) {
	b := h.open(t)
	work(t, b, 1)
	tx := h.begin(t, b)
	require.NoError(t, b.Close())
	_, acquire := tx.Stores.Locker().Acquire(t.Context(), "mine", "me", time.Hour)
	_, get := tx.Stores.Journal().Get(t.Context(), "run 1")
	_, write := tx.Stores.Versions().Write(t.Context(), pages, saving("a", 1), ann)
	for op, err := range map[string]error{"Acquire": acquire, "Get": get, "Write": write} {
		require.ErrorIs(t, err, storage.ErrClosed, op)
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
	heard := make(chan string, 2)
	go func() {
		for e, err := range b.Journal().Watch(ctx, 2) {
			heard <- fmt.Sprint(e.Run, err)
			break
		}
	}()
	go func() {
		for e, err := range b.Versions().Watch(ctx, 3) {
			heard <- fmt.Sprint(e.Kind, err)
			break
		}
	}()
	tx := h.begin(t, b)
	run, err := tx.Stores.Journal().Create(t.Context(), aRun("within"), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	require.EqualValues(t, 3, run.Seq, "a run knows its first event")
	_, err = tx.Stores.Versions().Write(t.Context(), pages, saving("within", 1), ann)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.ElementsMatch(t, []string{"within<nil>", fmt.Sprint(lv.EventSaved, "<nil>")}, []string{<-heard, <-heard})
}
