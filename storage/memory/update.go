package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// locker is the update.Locker of a DB.
type locker struct {
	db     *DB
	token  int64 // the last one given, of any item
	leases map[string]lease
}

// lease is what is kept of an update.Lease. It ends by the monotonic clock, so
// that setting the wall clock neither steals nor keeps it.
type lease struct {
	update.Lease
	ends time.Time
}

// Acquire implements update.Locker.
func (l *locker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
	if err := checkLease(item, owner, ttl); err != nil {
		return update.Lease{}, err
	}
	if err := l.db.lock(ctx); err != nil {
		return update.Lease{}, err
	}
	defer l.db.mu.Unlock()
	now := time.Now()
	if held, ok := l.live(item, now); ok {
		return update.Lease{}, &update.HeldError{Item: item, Owner: held.Owner, Until: held.ExpiresAt}
	}
	l.token++
	return l.extend(update.Lease{Item: item, Owner: owner, Token: l.token, AcquiredAt: stamp(now)}, now, ttl), nil
}

// Renew implements update.Locker.
func (l *locker) Renew(ctx context.Context, old update.Lease, ttl time.Duration) (update.Lease, error) {
	if err := checkLease(old.Item, old.Owner, ttl); err != nil {
		return update.Lease{}, err
	}
	if err := l.db.lock(ctx); err != nil {
		return update.Lease{}, err
	}
	defer l.db.mu.Unlock()
	now := time.Now()
	held, ok := l.live(old.Item, now)
	if !ok || held.Token != old.Token {
		return update.Lease{}, update.ErrLost
	}
	return l.extend(held.Lease, now, ttl), nil
}

// Release implements update.Locker.
func (l *locker) Release(ctx context.Context, old update.Lease) error {
	if err := checkName("item", old.Item); err != nil {
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

// Holder implements update.Locker.
func (l *locker) Holder(ctx context.Context, item string) (update.Lease, error) {
	if err := checkName("item", item); err != nil {
		return update.Lease{}, err
	}
	if err := l.db.lock(ctx); err != nil {
		return update.Lease{}, err
	}
	defer l.db.mu.Unlock()
	held, ok := l.live(item, time.Now())
	if !ok {
		return update.Lease{}, update.ErrFree
	}
	return held.Lease, nil
}

func (l *locker) live(item string, now time.Time) (lease, bool) {
	held, ok := l.leases[item]
	return held, ok && now.Before(held.ends)
}

func (l *locker) extend(u update.Lease, now time.Time, ttl time.Duration) update.Lease {
	ends := now.Add(ttl)
	u.ExpiresAt = stamp(ends)
	l.leases[u.Item] = lease{u, ends}
	return u
}

func checkLease(item, owner string, ttl time.Duration) error {
	if err := checkName("item", item); err != nil {
		return err
	}
	if err := checkName("owner", owner); err != nil {
		return err
	}
	if ttl < time.Millisecond {
		return fmt.Errorf("%w: a lease of %s is shorter than a millisecond", update.ErrInvalid, ttl)
	}
	return nil
}

func checkName(what, name string) error {
	if len(name) < 1 || len(name) > 1024 {
		return fmt.Errorf("%w: the %s has %d bytes, not 1 to 1,024", update.ErrInvalid, what, len(name))
	}
	return nil
}
