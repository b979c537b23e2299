package storagetest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
)

// store is what is known here of a store of a Backend. A domain has a value in a
// file of its own; the cases are written for all.
type store struct {
	domain     string // of its migrations; its tables have the prefix upkeep_DOMAIN
	table, key string // a table, and a column of it that is not of numbers

	of        func(b storage.Backend) any
	run       func(t *testing.T, h Harness) // its suites
	reopening []backendCase                 // what survives it

	write func(ctx context.Context, b storage.Backend, id string) error
	has   func(ctx context.Context, b storage.Backend, id string) (bool, error) // it was written
	// calls are one of each method, which need nothing to be there.
	calls func(ctx context.Context, b storage.Backend) []call
	// refused writes "kept", and has calls refused that must not leave "half".
	refused func(t testing.TB, b storage.Backend)
	// work uses the store, and checks that it goes on from where n-1 calls on the
	// same database were. It writes "work n" and, if there is a watch, so many
	// events.
	work   func(t testing.TB, b storage.Backend, n int)
	events int
	// watch yields the Seqs of events. Without it a store has none.
	watch func(ctx context.Context, b storage.Backend, after int64) iter.Seq2[int64, error]
}

// call is one of a method.
type call struct {
	op string
	do func() error
}

// calling makes a call whose result does not matter.
func calling[T any](op string, do func() (T, error)) call {
	return call{op, func() error { _, err := do(); return err }}
}

// listing makes a call of a list, which returns the error that it begins with.
func listing[T any](op string, all iter.Seq2[T, error]) call {
	return call{op, func() error { return alone(all) }}
}

// alone returns the error that a list begins with, which must be its last pair.
func alone[T any](all iter.Seq2[T, error]) (last error) {
	for _, err := range all {
		if last != nil || err == nil {
			return errors.New("a list yields more than an error")
		}
		last = err
	}
	return last
}

// seqs makes a list of Seqs of a list of events.
func seqs[E any](events iter.Seq2[E, error], seq func(E) int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for e, err := range events {
			if !yield(seq(e), err) {
				return
			}
		}
	}
}

// must writes to every store.
func must(t testing.TB, b storage.Backend, id string) {
	t.Helper()
	for _, s := range stores {
		require.NoError(t, s.write(t.Context(), b, id), s.domain)
	}
}

// requireHas checks that every store has something, or that none has.
func requireHas(t testing.TB, b storage.Backend, id string, want bool, why string) {
	t.Helper()
	for _, s := range stores {
		has, err := s.has(t.Context(), b, id)
		require.NoError(t, err, s.domain)
		require.Equal(t, want, has, "%s: %q: %s", s.domain, id, why)
	}
}

// work uses every store, and checks that it goes on from where others were: n
// counts the calls on a database.
func work(t testing.TB, b storage.Backend, n int) {
	t.Helper()
	workUnwatched(t, b, n)
	for _, s := range stores {
		if s.watch != nil {
			all := n * s.events
			events := suitetest.Collect(t, all, func(ctx context.Context) iter.Seq2[int64, error] { return s.watch(ctx, b, 0) })
			require.EqualValues(t, all, events[all-1], s.domain)
		}
	}
}

func workUnwatched(t testing.TB, b storage.Backend, n int) {
	t.Helper()
	for _, s := range stores {
		s.work(t, b, n)
	}
}

// all returns what a list yields.
func all[T any](t testing.TB, list iter.Seq2[T, error]) (items []T) {
	t.Helper()
	for item, err := range list {
		require.NoError(t, err)
		items = append(items, item)
	}
	return items
}
