package leasetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
)

func leaseSays(t *lockerTest) {
	l := t.take("core")
	require.Equal(t, "core", l.Item)
	require.Equal(t, "me", l.Owner)
	require.Positive(t, l.Token)
	require.Equal(t, time.UTC, l.AcquiredAt.Location(), "times are UTC")
	require.Equal(t, time.UTC, l.ExpiresAt.Location(), "times are UTC")
	require.False(t, l.AcquiredAt.IsZero())
	require.WithinDuration(t, l.AcquiredAt.Add(time.Hour), l.ExpiresAt, 2*time.Millisecond,
		"a lease ends its ttl after it began")
}

func heldIsRefused(t *lockerTest) {
	l := t.take("core")
	for _, why := range []string{"a new lease", "a renewed lease"} {
		_, err := t.Acquire(t.Context(), "core", "you", time.Hour)
		require.ErrorIs(t, err, lease.ErrHeld, "%s is live", why)
		var held *lease.HeldError
		require.ErrorAs(t, err, &held, "the error of a held item is a *HeldError")
		require.Equal(t, "core", held.Item)
		require.Equal(t, "me", held.Owner, "the error says who holds the item")
		require.WithinDuration(t, l.ExpiresAt, held.Until, time.Millisecond, "the error says until when %s is held", why)

		time.Sleep(t.past)
		l, err = t.Renew(t.Context(), l, time.Hour)
		require.NoError(t, err)
	}
}

func ownerCannotReenter(t *lockerTest) {
	l := t.take("core")
	_, err := t.Acquire(t.Context(), "core", "me", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld, "a lease is not re-entrant")
	t.requireHolder(l, "the first lease stays as it was")
}

func refusalChangesNothing(t *lockerTest) {
	l := t.takeFor("core", t.ttl)
	time.Sleep(t.toEnd)
	t.requireRefused(l, "the lease is live")
	t.requireHolder(l, "a refused Acquire changes nothing")
	time.Sleep(t.past)
	t.requireFree("core", "a refused Acquire must not prolong the lease")
}

func leaseEnds(t *lockerTest) {
	l := t.takeFor("core", t.ttl)
	time.Sleep(t.toEnd)
	t.requireHolder(l, "a lease lives for its whole ttl")
	t.requireRefused(l, "nobody gets the item before the ttl is over")
	time.Sleep(t.past)
	t.requireFree("core", "a lease ends with its ttl")
	t.take("core")
}

func renewed(t *lockerTest) {
	l := t.takeFor("core", t.ttl)
	time.Sleep(t.toEnd)
	r, err := t.Renew(t.Context(), l, t.ttl)
	require.NoError(t, err, "a live lease can be renewed")
	require.Equal(t, l.Token, r.Token, "renewing keeps the token")
	require.Equal(t, l.Owner, r.Owner)
	require.WithinDuration(t, l.AcquiredAt, r.AcquiredAt, time.Millisecond, "renewing does not change when it was acquired")
	require.GreaterOrEqual(t, r.ExpiresAt.Sub(l.ExpiresAt), t.toEnd-2*time.Millisecond, "a renewed lease ends ttl from now")
	t.requireHolder(r, "the holder is the renewed lease")

	time.Sleep(t.toEnd)
	t.requireHolder(r, "a renewed lease lives for its whole ttl")
	t.requireRefused(r, "a renewed lease lives for its whole ttl")
	time.Sleep(t.past)
	t.requireFree("core", "a renewed lease ends with its ttl")
}

func renewalShortens(t *lockerTest) {
	l, err := t.Renew(t.Context(), t.take("core"), t.ttl)
	require.NoError(t, err)
	t.requireHolder(l, "the lease lasts until now plus ttl")
	time.Sleep(t.toEnd + t.past)
	t.requireFree("core", "the lease lasts until now plus ttl, not longer")
}

func outlives(t *lockerTest) {
	l := t.takeFor("core", t.ttl)
	for range 6 {
		time.Sleep(t.toEnd)
		r, err := t.Renew(t.Context(), l, t.ttl)
		require.NoError(t, err, "a lease that is renewed in time goes on")
		require.Equal(t, l.Token, r.Token, "the token stays the same through all renewals")
		t.requireRefused(l, "a lease that is renewed in time is held")
	}
}

func endedCannotRenew(t *lockerTest) {
	expired := t.takeFor("expired", t.ttl)
	released := t.take("released")
	require.NoError(t, t.Release(t.Context(), released))
	time.Sleep(t.toEnd + t.past)
	for _, l := range []lease.Lease{expired, released, {Item: "never", Owner: "me", Token: 1}} {
		_, err := t.Renew(t.Context(), l, time.Hour)
		require.ErrorIs(t, err, lease.ErrLost, "a lease that is %s cannot be renewed", l.Item)
		t.requireFree(l.Item, "a refused Renew takes nothing")
	}
}

func oldTokenCannotRenew(t *lockerTest) {
	old := t.take("core")
	require.NoError(t, t.Release(t.Context(), old))
	l := t.take("core") // the same owner: only the token differs
	_, err := t.Renew(t.Context(), old, 2*time.Hour)
	require.ErrorIs(t, err, lease.ErrLost, "the lease of an old token has ended")
	t.requireHolder(l, "a refused Renew changes nothing")

	future := l
	future.Token++
	_, err = t.Renew(t.Context(), future, 2*time.Hour)
	require.ErrorIs(t, err, lease.ErrLost, "a token that was never given has no lease")
}

func tokenOfOtherItem(t *lockerTest) {
	var leases []lease.Lease
	for _, item := range []string{"a", "b"} {
		for range 3 { // so that both items reach the same token, if they count apart
			require.NoError(t, t.Release(t.Context(), t.take(item)))
		}
		leases = append(leases, t.take(item))
	}
	a, b := leases[0], leases[1]
	if a.Token != b.Token {
		require.NoError(t, t.Release(t.Context(), lease.Lease{Item: "b", Owner: "me", Token: a.Token}))
		t.requireHolder(b, "a token of another item releases nothing")
		_, err := t.Renew(t.Context(), lease.Lease{Item: "b", Owner: "me", Token: a.Token}, 2*time.Hour)
		require.ErrorIs(t, err, lease.ErrLost, "a token of another item renews nothing")
	}
	_, err := t.Renew(t.Context(), a, 2*time.Hour)
	require.NoError(t, err)
	t.requireHolder(b, "renewing one item does not renew another")
	require.NoError(t, t.Release(t.Context(), a))
	t.requireHolder(b, "releasing one item does not release another")
}

func releaseFrees(t *lockerTest) {
	l := t.take("core")
	require.NoError(t, t.Release(t.Context(), l))
	t.requireFree("core", "a released item is free at once")
	t.take("core")
}

func releaseTwice(t *lockerTest) {
	l := t.take("core")
	for range 3 {
		require.NoError(t, t.Release(t.Context(), l), "releasing twice is not an error")
	}
	l = t.takeFor("core", t.ttl)
	time.Sleep(t.toEnd + t.past)
	require.NoError(t, t.Release(t.Context(), l), "releasing an expired lease is not an error")
	require.NoError(t, t.Release(t.Context(), lease.Lease{Item: "never", Owner: "me", Token: 7}),
		"releasing what nobody held is not an error")
	t.requireFree("never", "releasing takes nothing")
}

func lateRelease(t *lockerTest) {
	released := t.take("released")
	require.NoError(t, t.Release(t.Context(), released))
	expired := t.takeFor("expired", t.ttl)
	time.Sleep(t.toEnd + t.past)
	for _, old := range []lease.Lease{released, expired} {
		l := t.take(old.Item)
		require.NoError(t, t.Release(t.Context(), old))
		t.requireHolder(l, "a late release does not end the lease of a successor")
	}
}

func breakGlass(t *lockerTest) {
	l := t.take("core")
	found, err := t.Holder(t.Context(), "core")
	require.NoError(t, err)
	require.NoError(t, t.Release(t.Context(), lease.Lease{Item: found.Item, Token: found.Token}))
	t.requireFree("core", "item and token are enough to end a lease")
	_, err = t.Renew(t.Context(), l, time.Hour)
	require.ErrorIs(t, err, lease.ErrLost, "its former holder has lost it")
}

func tokensRise(t *lockerTest) {
	var last int64
	for round := range 50 {
		l := t.takeFor("core", t.ttl)
		require.Greater(t, l.Token, last, "a token is greater than every earlier one of its item")
		last = l.Token
		if round%25 == 24 {
			time.Sleep(t.toEnd + t.past)
		} else {
			require.NoError(t, t.Release(t.Context(), l))
		}
	}
}

func holder(t *lockerTest) {
	t.requireFree("core", "nobody ever held the item")
	l := t.take("core")
	t.requireHolder(l, "the holder is the lease that was granted")
	l, err := t.Renew(t.Context(), l, 2*time.Hour)
	require.NoError(t, err)
	t.requireHolder(l, "the holder is the lease as it was renewed")
	require.NoError(t, t.Release(t.Context(), l))
	t.requireFree("core", "the lease was released")

	t.takeFor("core", t.ttl)
	time.Sleep(t.toEnd + t.past)
	t.requireFree("core", "the lease has expired")
}
