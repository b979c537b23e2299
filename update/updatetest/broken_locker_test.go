package updatetest_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// locker is a Locker some of whose methods are replaced.
type locker struct {
	update.Locker
	acquire func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error)
	renew   func(ctx context.Context, l update.Lease, ttl time.Duration) (update.Lease, error)
	release func(ctx context.Context, l update.Lease) error
	holder  func(ctx context.Context, item string) (update.Lease, error)
}

func (l *locker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
	if l.acquire == nil {
		return l.Locker.Acquire(ctx, item, owner, ttl)
	}
	return l.acquire(ctx, item, owner, ttl)
}

func (l *locker) Renew(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
	if l.renew == nil {
		return l.Locker.Renew(ctx, lease, ttl)
	}
	return l.renew(ctx, lease, ttl)
}

func (l *locker) Release(ctx context.Context, lease update.Lease) error {
	if l.release == nil {
		return l.Locker.Release(ctx, lease)
	}
	return l.release(ctx, lease)
}

func (l *locker) Holder(ctx context.Context, item string) (update.Lease, error) {
	if l.holder == nil {
		return l.Locker.Holder(ctx, item)
	}
	return l.holder(ctx, item)
}

// anyLocker is not comparable.
type anyLocker struct {
	update.Locker
	_ []int
}

// The signatures of the methods, for short.
type (
	acquireFunc = func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error)
	renewFunc   = func(ctx context.Context, l update.Lease, ttl time.Duration) (update.Lease, error)
	releaseFunc = func(ctx context.Context, l update.Lease) error
	holderFunc  = func(ctx context.Context, item string) (update.Lease, error)
)

func badAcquire(f func(update.Locker) acquireFunc) func(update.Locker) update.Locker {
	return func(l update.Locker) update.Locker { return &locker{Locker: l, acquire: f(l)} }
}

func badRenew(f func(update.Locker) renewFunc) func(update.Locker) update.Locker {
	return func(l update.Locker) update.Locker { return &locker{Locker: l, renew: f(l)} }
}

func badRelease(f func(update.Locker) releaseFunc) func(update.Locker) update.Locker {
	return func(l update.Locker) update.Locker { return &locker{Locker: l, release: f(l)} }
}

func badHolder(f func(update.Locker) holderFunc) func(update.Locker) update.Locker {
	return func(l update.Locker) update.Locker { return &locker{Locker: l, holder: f(l)} }
}

// badHeld changes the answer to a refused Acquire.
func badHeld(f func(update.Locker, *update.HeldError) (update.Lease, error)) func(update.Locker) update.Locker {
	return badAcquire(func(l update.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			lease, err := l.Acquire(ctx, item, owner, ttl)
			if held, ok := errors.AsType[*update.HeldError](err); ok {
				return f(l, held)
			}
			return lease, err
		}
	})
}

// badLease changes what Acquire returns.
func badLease(change func(*update.Lease)) func(update.Locker) update.Locker {
	return badAcquire(func(l update.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			lease, err := l.Acquire(ctx, item, owner, ttl)
			change(&lease)
			return lease, err
		}
	})
}

// badTTL changes how long leases last.
func badTTL(acquire, renew func(time.Duration) time.Duration) func(update.Locker) update.Locker {
	return func(l update.Locker) update.Locker {
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
				return l.Acquire(ctx, item, owner, acquire(ttl))
			},
			renew: func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
				return l.Renew(ctx, lease, renew(ttl))
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
func badItem(fold func(string) string) func(update.Locker) update.Locker {
	return func(l update.Locker) update.Locker {
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
				lease, err := l.Acquire(ctx, fold(item), owner, ttl)
				lease.Item = item
				return lease, err
			},
			renew: func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
				item := lease.Item
				lease.Item = fold(item)
				lease, err := l.Renew(ctx, lease, ttl)
				lease.Item = item
				return lease, err
			},
			release: func(ctx context.Context, lease update.Lease) error {
				lease.Item = fold(lease.Item)
				return l.Release(ctx, lease)
			},
			holder: func(ctx context.Context, item string) (update.Lease, error) {
				lease, err := l.Holder(ctx, fold(item))
				lease.Item = item
				return lease, err
			},
		}
	}
}

// twice gives an item to all who ask before the first of them has it.
func twice(l update.Locker) acquireFunc {
	return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
		if held, err := l.Holder(ctx, item); err == nil {
			return update.Lease{}, &update.HeldError{Item: item, Owner: held.Owner, Until: held.ExpiresAt}
		}
		time.Sleep(time.Millisecond)
		if held, err := l.Holder(ctx, item); err == nil {
			_ = l.Release(ctx, held)
		}
		return l.Acquire(ctx, item, owner, ttl)
	}
}

// oldTokens gives each holder the token 1.
func oldTokens(l update.Locker) update.Locker {
	var mu sync.Mutex
	tokens := make(map[string]int64)
	given := func(lease update.Lease) update.Lease {
		mu.Lock()
		defer mu.Unlock()
		lease.Token = tokens[lease.Item]
		return lease
	}
	return &locker{
		Locker: l,
		acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			lease, err := l.Acquire(ctx, item, owner, ttl)
			if err == nil {
				mu.Lock()
				tokens[item] = lease.Token
				mu.Unlock()
				lease.Token = 1
			}
			return lease, err
		},
		release: func(ctx context.Context, lease update.Lease) error { return l.Release(ctx, given(lease)) },
	}
}

// byToken looks for a lease by its token alone.
func byToken(l update.Locker) update.Locker {
	items := make(map[int64]string)
	return &locker{
		Locker: l,
		acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			lease, err := l.Acquire(ctx, item, owner, ttl)
			items[lease.Token] = item
			return lease, err
		},
		release: func(ctx context.Context, lease update.Lease) error {
			lease.Item = items[lease.Token]
			return l.Release(ctx, lease)
		},
	}
}

func anotherLocker(update.Locker) update.Locker { return memory.New().Locker() }
