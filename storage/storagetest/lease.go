package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
	"github.com/upkeep-go/upkeep/storage"
)

var lockerStore = store{
	domain: "lease", table: "upkeep_lease", key: "item",

	of: func(b storage.Backend) any { return b.Locker() },
	run: func(t *testing.T, h Harness) {
		l, _ := harnessOf(h, storage.Backend.Locker)
		t.Run("Locker", func(t *testing.T) {
			leasetest.RunLocker(t, leasetest.Harness{Open: l.Open, Again: l.Again, RealTime: l.RealTime})
		})
	},
	reopening: []backendCase{{"leases and tokens survive reopening", locksSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		_, err := b.Locker().Acquire(ctx, id, "me", time.Hour)
		return err
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		_, err := b.Locker().Holder(ctx, id)
		if errors.Is(err, lease.ErrFree) {
			return false, nil
		}
		return err == nil, err
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		l, held := b.Locker(), lease.Lease{Item: "core", Owner: "me", Token: 1}
		return []call{
			calling("Acquire", func() (lease.Lease, error) { return l.Acquire(ctx, "other", "me", time.Hour) }),
			calling("Renew", func() (lease.Lease, error) { return l.Renew(ctx, held, time.Hour) }),
			{"Release", func() error { return l.Release(ctx, held) }},
			calling("Holder", func() (lease.Lease, error) { return l.Holder(ctx, "core") }),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		_, err := b.Locker().Acquire(t.Context(), "kept", "me", time.Hour)
		require.NoError(t, err)
		_, err = b.Locker().Acquire(t.Context(), "kept", "you", time.Hour)
		require.ErrorIs(t, err, lease.ErrHeld)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		held, err := b.Locker().Acquire(t.Context(), "core", "me", time.Hour)
		require.NoError(t, err)
		require.GreaterOrEqual(t, held.Token, int64(n), "the tokens of others were smaller")
		require.NoError(t, b.Locker().Release(t.Context(), held))
		_, err = b.Locker().Acquire(t.Context(), fmt.Sprint("work ", n), "me", time.Hour)
		require.NoError(t, err)
	},
}

func locksSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	held, err := first.Locker().Acquire(t.Context(), "held", "me", time.Hour)
	require.NoError(t, err)
	var last lease.Lease
	for range 5 {
		last, err = first.Locker().Acquire(t.Context(), "released", "me", time.Hour)
		require.NoError(t, err)
		require.NoError(t, first.Locker().Release(t.Context(), last))
	}

	b := h.reopen(t, first)
	found, err := b.Locker().Holder(t.Context(), "held")
	require.NoError(t, err, "a live lease survives reopening")
	require.Equal(t, held.Token, found.Token)
	require.Equal(t, held.Owner, found.Owner)
	require.WithinDuration(t, held.ExpiresAt, found.ExpiresAt, time.Millisecond)
	_, err = b.Locker().Acquire(t.Context(), "held", "you", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld, "a live lease survives reopening")
	_, err = b.Locker().Renew(t.Context(), held, time.Hour)
	require.NoError(t, err, "a live lease can be renewed after reopening")
	require.NoError(t, b.Locker().Release(t.Context(), held), "a live lease can be released after reopening")

	next, err := b.Locker().Acquire(t.Context(), "released", "me", time.Hour)
	require.NoError(t, err)
	require.Greater(t, next.Token, last.Token, "tokens rise through reopening")
	_, err = b.Locker().Renew(t.Context(), last, time.Hour)
	require.ErrorIs(t, err, lease.ErrLost, "an ended lease stays ended")
}

// Locker returns the Locker behind the fault.
func (f *Faulty) Locker() lease.Locker { return faultyLocker{f} }

type faultyLocker struct{ *Faulty }

func (f faultyLocker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	return through(f.Faulty, "Acquire", func() (lease.Lease, error) { return f.Backend.Locker().Acquire(ctx, item, owner, ttl) })
}

func (f faultyLocker) Renew(ctx context.Context, l lease.Lease, ttl time.Duration) (lease.Lease, error) {
	return through(f.Faulty, "Renew", func() (lease.Lease, error) { return f.Backend.Locker().Renew(ctx, l, ttl) })
}

func (f faultyLocker) Release(ctx context.Context, l lease.Lease) error {
	_, err := through(f.Faulty, "Release", func() (struct{}, error) { return struct{}{}, f.Backend.Locker().Release(ctx, l) })
	return err
}

func (f faultyLocker) Holder(ctx context.Context, item string) (lease.Lease, error) {
	return through(f.Faulty, "Holder", func() (lease.Lease, error) { return f.Backend.Locker().Holder(ctx, item) })
}
