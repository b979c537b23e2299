package leasetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
)

func oneOfMany(t *lockerTest) {
	for _, item := range []string{"a", "b", "c"} {
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				_, err := t.Acquire(t.Context(), item, "me", time.Hour)
				if err == nil {
					won.Add(1)
				} else {
					assert.ErrorIs(t, err, lease.ErrHeld)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load(), "of 64 who asked at once for a free item, one gets it")
	}
}

// neverOverlap has 64 holders count without the help of atomic additions.
func neverOverlap(t *lockerTest, handles ...lease.Locker) {
	var count atomic.Int64 // atomic only so that engines behind a socket pass the race detector
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			locker := handles[i%len(handles)]
			for {
				l, err := locker.Acquire(ctx, "core", "me", time.Hour)
				if err == nil {
					seen := count.Load()
					time.Sleep(time.Microsecond)
					count.Store(seen + 1)
					assert.NoError(t, locker.Release(ctx, l))
					return
				}
				if !assert.ErrorIs(t, err, lease.ErrHeld) {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 64, count.Load(), "two holders have overlapped")
}

func renewAgainstRelease(t *lockerTest) {
	for round := range 20 {
		l := t.take("core")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := t.Renew(t.Context(), l, time.Hour); err != nil {
					assert.ErrorIs(t, err, lease.ErrLost)
				}
			})
		}
		wg.Go(func() {
			time.Sleep(time.Duration(round%4) * 20 * time.Microsecond)
			assert.NoError(t, t.Release(t.Context(), l))
		})
		wg.Wait()
		t.requireFree("core", "a released lease stays released whatever renews it")
	}
}

func twoHandles(t *lockerTest) {
	other := t.again()
	l := t.take("core")
	_, err := other.Acquire(t.Context(), "core", "you", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld, "a lease counts for every handle")
	found, err := other.Holder(t.Context(), "core")
	require.NoError(t, err)
	t.requireSame(l, found, "every handle sees the lease")

	l, err = other.Renew(t.Context(), l, 2*time.Hour)
	require.NoError(t, err, "a lease is a value: any handle can renew it")
	t.requireHolder(l, "every handle sees the renewed lease")
	require.NoError(t, other.Release(t.Context(), l), "a lease is a value: any handle can release it")
	t.requireFree("core", "every handle sees the release")

	t.takeFor("core", t.ttl)
	time.Sleep(t.toEnd + t.past)
	_, err = other.Acquire(t.Context(), "core", "you", time.Hour)
	require.NoError(t, err, "a lease expires for every handle")
}

func twoHandlesTokens(t *lockerTest) {
	other := t.again()
	var last int64
	for i := range 20 {
		locker := t.Locker
		if i%2 == 1 {
			locker = other
		}
		l, err := locker.Acquire(t.Context(), "core", "me", time.Hour)
		require.NoError(t, err)
		require.Greater(t, l.Token, last, "a token is greater than every earlier one, whichever handle gave it")
		last = l.Token
		require.NoError(t, locker.Release(t.Context(), l))
	}
}
