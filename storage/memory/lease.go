package memory

import (
	"context"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// locker is the lease.Locker of a DB.
type locker struct {
	db     *DB
	token  int64            // the last one given, of any item
	leases map[string]timed // by item
}

// timed is a lease as it is kept. It ends by the monotonic clock, so
// that setting the wall clock neither steals nor keeps it.
type timed struct {
	lease.Lease
	ends time.Time
}

// Acquire implements lease.Locker.
func (l *locker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	if err := lease.Check(item, owner, ttl); err != nil {
		return lease.Lease{}, err
	}
	if err := l.db.lock(ctx); err != nil {
		return lease.Lease{}, err
	}
	defer l.db.mu.Unlock()
	now := time.Now()
	if held, ok := l.live(item, now); ok {
		return lease.Lease{}, &lease.HeldError{Item: item, Owner: held.Owner, Until: held.ExpiresAt}
	}
	l.token++
	return l.extend(lease.Lease{Item: item, Owner: owner, Token: l.token, AcquiredAt: stamp(now)}, now, ttl), nil
}

// Renew implements lease.Locker.
func (l *locker) Renew(ctx context.Context, old lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if err := lease.Check(old.Item, old.Owner, ttl); err != nil {
		return lease.Lease{}, err
	}
	if err := l.db.lock(ctx); err != nil {
		return lease.Lease{}, err
	}
	defer l.db.mu.Unlock()
	now := time.Now()
	held, ok := l.live(old.Item, now)
	if !ok || held.Token != old.Token {
		return lease.Lease{}, lease.ErrLost
	}
	return l.extend(held.Lease, now, ttl), nil
}

// Release implements lease.Locker.
func (l *locker) Release(ctx context.Context, old lease.Lease) error {
	if err := lease.CheckItem(old.Item); err != nil {
		return err
	}
	if err := l.db.lock(ctx); err != nil {
		return err
	}
	defer l.db.mu.Unlock()
	if l.leases[old.Item].Token == old.Token {
		delete(l.leases, old.Item)
	}
	return nil
}

// Holder implements lease.Locker.
func (l *locker) Holder(ctx context.Context, item string) (lease.Lease, error) {
	if err := lease.CheckItem(item); err != nil {
		return lease.Lease{}, err
	}
	if err := l.db.lock(ctx); err != nil {
		return lease.Lease{}, err
	}
	defer l.db.mu.Unlock()
	held, ok := l.live(item, time.Now())
	if !ok {
		return lease.Lease{}, lease.ErrFree
	}
	return held.Lease, nil
}

func (l *locker) live(item string, now time.Time) (timed, bool) {
	held, ok := l.leases[item]
	return held, ok && now.Before(held.ends)
}

func (l *locker) extend(u lease.Lease, now time.Time, ttl time.Duration) lease.Lease {
	ends := now.Add(ttl)
	u.ExpiresAt = stamp(ends)
	l.leases[u.Item] = timed{u, ends}
	return u
}
