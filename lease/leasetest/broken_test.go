package leasetest_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// locker is a Locker some of whose methods are replaced.
type locker struct {
	lease.Locker
	acquire func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error)
	renew   func(ctx context.Context, l lease.Lease, ttl time.Duration) (lease.Lease, error)
	release func(ctx context.Context, l lease.Lease) error
	holder  func(ctx context.Context, item string) (lease.Lease, error)
}

func (l *locker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	if l.acquire == nil {
		return l.Locker.Acquire(ctx, item, owner, ttl)
	}
	return l.acquire(ctx, item, owner, ttl)
}

func (l *locker) Renew(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if l.renew == nil {
		return l.Locker.Renew(ctx, own, ttl)
	}
	return l.renew(ctx, own, ttl)
}

func (l *locker) Release(ctx context.Context, own lease.Lease) error {
	if l.release == nil {
		return l.Locker.Release(ctx, own)
	}
	return l.release(ctx, own)
}

func (l *locker) Holder(ctx context.Context, item string) (lease.Lease, error) {
	if l.holder == nil {
		return l.Locker.Holder(ctx, item)
	}
	return l.holder(ctx, item)
}

// The signatures of the methods, for short.
type (
	acquireFunc = func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error)
	renewFunc   = func(ctx context.Context, l lease.Lease, ttl time.Duration) (lease.Lease, error)
	releaseFunc = func(ctx context.Context, l lease.Lease) error
	holderFunc  = func(ctx context.Context, item string) (lease.Lease, error)
)

var (
	badAcquire = provetest.Bad(func(l lease.Locker, f acquireFunc) lease.Locker { return &locker{Locker: l, acquire: f} })
	badRenew   = provetest.Bad(func(l lease.Locker, f renewFunc) lease.Locker { return &locker{Locker: l, renew: f} })
	badRelease = provetest.Bad(func(l lease.Locker, f releaseFunc) lease.Locker { return &locker{Locker: l, release: f} })
	badHolder  = provetest.Bad(func(l lease.Locker, f holderFunc) lease.Locker { return &locker{Locker: l, holder: f} })
)

// badHeld changes the answer to a refused Acquire.
func badHeld(f func(lease.Locker, *lease.HeldError) (lease.Lease, error)) func(lease.Locker) lease.Locker {
	return badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(ctx, item, owner, ttl)
			if held, ok := errors.AsType[*lease.HeldError](err); ok {
				return f(l, held)
			}
			return own, err
		}
	})
}

// badLease changes what Acquire returns.
func badLease(change func(*lease.Lease)) func(lease.Locker) lease.Locker {
	return badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(ctx, item, owner, ttl)
			change(&own)
			return own, err
		}
	})
}

// badTTL changes how long leases last.
func badTTL(acquire, renew func(time.Duration) time.Duration) func(lease.Locker) lease.Locker {
	return func(l lease.Locker) lease.Locker {
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
				return l.Acquire(ctx, item, owner, acquire(ttl))
			},
			renew: func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
				return l.Renew(ctx, own, renew(ttl))
			},
		}
	}
}

func same(ttl time.Duration) time.Duration    { return ttl }
func half(ttl time.Duration) time.Duration    { return ttl / 2 }
func double(ttl time.Duration) time.Duration  { return 2 * ttl }
func rounded(ttl time.Duration) time.Duration { return max(ttl, time.Millisecond) }
func capped(ttl time.Duration) time.Duration  { return min(ttl, 24*time.Hour) }

// badItem has names folded, as engines with an opinion on text do.
func badItem(fold func(string) string) func(lease.Locker) lease.Locker {
	return func(l lease.Locker) lease.Locker {
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
				own, err := l.Acquire(ctx, fold(item), owner, ttl)
				own.Item = item
				return own, err
			},
			renew: func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
				item := own.Item
				own.Item = fold(item)
				own, err := l.Renew(ctx, own, ttl)
				own.Item = item
				return own, err
			},
			release: func(ctx context.Context, own lease.Lease) error {
				own.Item = fold(own.Item)
				return l.Release(ctx, own)
			},
			holder: func(ctx context.Context, item string) (lease.Lease, error) {
				own, err := l.Holder(ctx, fold(item))
				own.Item = item
				return own, err
			},
		}
	}
}

// twice gives an item to all who ask before the first of them has it.
func twice(l lease.Locker) acquireFunc {
	return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
		if held, err := l.Holder(ctx, item); err == nil {
			return lease.Lease{}, &lease.HeldError{Item: item, Owner: held.Owner, Until: held.ExpiresAt}
		}
		time.Sleep(time.Millisecond)
		if held, err := l.Holder(ctx, item); err == nil {
			_ = l.Release(ctx, held)
		}
		return l.Acquire(ctx, item, owner, ttl)
	}
}

// oldTokens gives each holder the token 1.
func oldTokens(l lease.Locker) lease.Locker {
	var mu sync.Mutex
	tokens := make(map[string]int64)
	given := func(own lease.Lease) lease.Lease {
		mu.Lock()
		defer mu.Unlock()
		own.Token = tokens[own.Item]
		return own
	}
	return &locker{
		Locker: l,
		acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(ctx, item, owner, ttl)
			if err == nil {
				mu.Lock()
				tokens[item] = own.Token
				mu.Unlock()
				own.Token = 1
			}
			return own, err
		},
		release: func(ctx context.Context, own lease.Lease) error { return l.Release(ctx, given(own)) },
	}
}

// byToken looks for a lease by its token alone.
func byToken(l lease.Locker) lease.Locker {
	items := make(map[int64]string)
	return &locker{
		Locker: l,
		acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(ctx, item, owner, ttl)
			items[own.Token] = item
			return own, err
		},
		release: func(ctx context.Context, own lease.Lease) error {
			own.Item = items[own.Token]
			return l.Release(ctx, own)
		},
	}
}

func anotherLocker(lease.Locker) lease.Locker { return memory.New().Locker() }
