package leasetest

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
)

func itemsAreIndependent(t *lockerTest) {
	a, b := t.take("a"), t.take("b")
	t.requireHolder(a, "an owner may hold several items")
	t.requireHolder(b, "an owner may hold several items")
	require.NoError(t, t.Release(t.Context(), a))
	t.requireHolder(b, "the end of one lease does not end another")
	t.requireFree("c", "nobody ever held the item")
}

func oddNames(t *lockerTest) {
	var leases []lease.Lease
	for _, name := range suitetest.Names() {
		l, err := t.Acquire(t.Context(), name, name, time.Hour)
		require.NoError(t, err, "%q is a name, and free", name)
		leases = append(leases, l)
	}
	for i, l := range leases {
		t.requireHolder(l, "every name is an item of its own and comes back byte by byte")
		if i%2 == 0 {
			require.NoError(t, t.Release(t.Context(), l))
		}
	}
	for i, l := range leases {
		if i%2 == 0 {
			t.requireFree(l.Item, "a released item is free whatever its name")
			continue
		}
		_, err := t.Renew(t.Context(), l, time.Hour)
		require.NoError(t, err, "releasing %q's neighbours does not release it", l.Item)
	}
}

func invalidNames(t *lockerTest) {
	long := strings.Repeat("x", 1024)
	for _, bad := range []string{"", long + "x", strings.Repeat("核", 342)} {
		_, err := t.Acquire(t.Context(), bad, "me", time.Hour)
		require.ErrorIs(t, err, lease.ErrInvalid, "an item of %d bytes", len(bad))
		_, err = t.Acquire(t.Context(), "core", bad, time.Hour)
		require.ErrorIs(t, err, lease.ErrInvalid, "an owner of %d bytes", len(bad))
		_, err = t.Holder(t.Context(), bad)
		require.ErrorIs(t, err, lease.ErrInvalid, "an item of %d bytes", len(bad))
		_, err = t.Renew(t.Context(), lease.Lease{Item: bad, Owner: "me", Token: 1}, time.Hour)
		require.ErrorIs(t, err, lease.ErrInvalid, "renewing an item of %d bytes", len(bad))
		_, err = t.Renew(t.Context(), lease.Lease{Item: "core", Owner: bad, Token: 1}, time.Hour)
		require.ErrorIs(t, err, lease.ErrInvalid, "renewing for an owner of %d bytes", len(bad))
		err = t.Release(t.Context(), lease.Lease{Item: bad, Owner: "me", Token: 1})
		require.ErrorIs(t, err, lease.ErrInvalid, "releasing an item of %d bytes", len(bad))
	}
	t.requireFree("core", "an invalid Acquire takes nothing")
	_, err := t.Acquire(t.Context(), long, long, time.Hour)
	require.NoError(t, err, "1,024 bytes are allowed")
}

func invalidTTL(t *lockerTest) {
	bad := []time.Duration{0, -time.Minute, math.MinInt64, 1, time.Millisecond - 1}
	for _, ttl := range bad {
		_, err := t.Acquire(t.Context(), "core", "me", ttl)
		require.ErrorIs(t, err, lease.ErrInvalid, "a lease of %s", ttl)
	}
	t.requireFree("core", "an invalid Acquire takes nothing")

	l := t.take("core")
	for _, ttl := range bad {
		_, err := t.Renew(t.Context(), l, ttl)
		require.ErrorIs(t, err, lease.ErrInvalid, "a renewal for %s", ttl)
	}
	t.requireHolder(l, "an invalid Renew changes nothing")
	_, err := t.Acquire(t.Context(), "short", "me", time.Millisecond)
	require.NoError(t, err, "a millisecond is allowed")
}

func longestTTL(t *lockerTest) {
	for item, ttl := range map[string]time.Duration{"a century": 100 * 365 * 24 * time.Hour, "for ever": math.MaxInt64} {
		l, err := t.Acquire(t.Context(), item, "me", ttl)
		require.NoError(t, err, item)
		t.requireRefused(l, "a lease of "+item+" is live")
		l, err = t.Renew(t.Context(), l, ttl)
		require.NoError(t, err, item)
		require.True(t, l.ExpiresAt.After(l.AcquiredAt.AddDate(99, 0, 0)), "a lease of %s ends at %s", item, l.ExpiresAt)
		t.requireHolder(l, "a lease of "+item+" is live")
	}
}

func endedContext(t *lockerTest) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := t.Acquire(ended, "free", "me", time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	t.requireFree("free", "a call whose context has ended leaves no lease")

	l := t.take("core")
	_, err = t.Renew(ended, l, 2*time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, t.Release(ended, l), context.Canceled)
	_, err = t.Holder(ended, "core")
	require.ErrorIs(t, err, context.Canceled)
	t.requireHolder(l, "a call whose context has ended changes nothing")
}

func contextIsNotLife(t *lockerTest) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := t.Acquire(ctx, "core", "me", t.ttl)
	require.NoError(t, err)
	cancel()
	time.Sleep(t.toEnd)
	t.requireHolder(l, "the end of the context that acquired does not end the lease")

	ctx, cancel = context.WithCancel(t.Context())
	l, err = t.Renew(ctx, l, t.ttl)
	require.NoError(t, err)
	cancel()
	time.Sleep(t.toEnd)
	t.requireHolder(l, "the end of the context that renewed does not end the lease")
}
