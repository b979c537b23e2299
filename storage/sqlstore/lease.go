package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
)

// Locker is the lease.Locker of a DB: one row for each item, which is never
// deleted, so that tokens only rise.
type Locker struct {
	db DB
	d  Dialect

	acquire, holder, renew, release string
}

var _ lease.Locker = (*Locker)(nil)

// Locker returns the leases of every domain.
func (a *Accessors) Locker() lease.Locker {
	return storeOf(a, "lease", "", func(db DB, _ storage.Retention) *Locker { return NewLocker(db) })
}

// NewLocker returns the Locker of db. An engine makes one and keeps it.
func NewLocker(db DB) *Locker {
	d := db.Dialect()
	return &Locker{
		db: db, d: d,
		acquire: d.clocked(6, leaseAcquire),
		holder:  d.clocked(2, leaseHolder),
		renew:   d.clocked(6, leaseRenew),
		release: leaseRelease,
	}
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (l *Locker) On(db DB) *Locker {
	on := *l
	on.db = db
	return &on
}

// A lease is live while it has an owner and time left, and belongs to this
// boot; a boot without a name may be this one. The same condition, negated,
// stands in leaseAcquire, which also takes a lease whose token is ?6. A history
// that was lost may have had the item when this one does not: tokens begin where
// the history does.
const leaseAcquire = `
INSERT INTO upkeep_lease AS l
	(item, owner, token, boot, process, ends_us, ttl_us, acquired_ms, expires_ms)
VALUES (?1, ?2, (SELECT coalesce(max(base), 0) + 1 FROM upkeep_history), ?4, ?5, {tick} + ?3, ?3, {now}, {now} + ?3 / 1000)
ON CONFLICT (item) DO UPDATE SET
	owner = excluded.owner, token = l.token + 1, boot = excluded.boot, process = excluded.process,
	ends_us = excluded.ends_us, ttl_us = excluded.ttl_us,
	acquired_ms = excluded.acquired_ms, expires_ms = excluded.expires_ms
WHERE l.owner IS NULL OR l.token = ?6 OR l.ends_us <= {tick}
	OR (l.boot <> ?4 AND l.boot <> '' AND ?4 <> '')
RETURNING token, acquired_ms, expires_ms`

const leaseHolder = `
SELECT owner, token, acquired_ms, expires_ms, process, ttl_us, ends_us - {tick}
FROM upkeep_lease
WHERE item = ?1 AND owner IS NOT NULL AND ends_us > {tick}
	AND (boot = ?2 OR boot = '' OR ?2 = '')`

const leaseRenew = `
UPDATE upkeep_lease
SET process = ?5, ends_us = {tick} + ?3, ttl_us = ?3, expires_ms = {now} + ?3 / 1000
WHERE item = ?1 AND token = ?2 AND process = ?6 AND owner IS NOT NULL AND ends_us > {tick}
	AND (boot = ?4 OR boot = '' OR ?4 = '')
RETURNING owner, acquired_ms, expires_ms`

const leaseRelease = `
UPDATE upkeep_lease SET owner = NULL, process = ''
WHERE item = ?1 AND token = ?2 AND owner IS NOT NULL`

// heldLease is a row of a live lease.
type heldLease struct {
	lease.Lease
	process string
	ttl     time.Duration
	left    time.Duration
}

// Acquire keeps the promise of lease.Locker.
func (l *Locker) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	if err := lease.Check(item, owner, ttl); err != nil {
		return lease.Lease{}, err
	}
	var ended int64 // token of a lease that lasts although its holder is gone
	for {
		got, held, err := l.try(ctx, item, owner, ttl, ended)
		switch {
		case err != nil:
			return lease.Lease{}, fmt.Errorf("acquiring %q: %w", item, err)
		case got.Token != 0:
			return got, nil
		case held.Token == 0: // it ended between our two looks
		case l.ended(held) && held.Token != ended:
			ended = held.Token
		default:
			return lease.Lease{}, &lease.HeldError{Item: item, Owner: held.Owner, Until: held.ExpiresAt}
		}
	}
}

// try returns the lease it got or the one that is in the way.
func (l *Locker) try(ctx context.Context, item, owner string, ttl time.Duration, ended int64) (got lease.Lease, held heldLease, err error) {
	host := l.d.Host
	err = l.db.Write(ctx, func(tx Tx) error {
		got, held = lease.Lease{Item: item, Owner: owner}, heldLease{}
		var acquired, expires int64
		err := tx.Row(l.acquire,
			l.d.withTick([]byte(item), []byte(owner), micros(ttl), host.Boot, host.Process, ended),
			&got.Token, &acquired, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			held, err = l.look(tx.Row, item)
			return err
		}
		got.AcquiredAt, got.ExpiresAt = utc(acquired), utc(expires)
		return err
	})
	return got, held, err
}

// Renew keeps the promise of lease.Locker.
func (l *Locker) Renew(ctx context.Context, le lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if err := lease.Check(le.Item, le.Owner, ttl); err != nil {
		return lease.Lease{}, err
	}
	host := l.d.Host
	process := host.Process
	for {
		var owner []byte
		var acquired, expires int64
		err := l.db.Write(ctx, func(tx Tx) error {
			return tx.Row(l.renew,
				l.d.withTick([]byte(le.Item), le.Token, micros(ttl), host.Boot, host.Process, process),
				&owner, &acquired, &expires)
		})
		if err == nil {
			le.Owner, le.AcquiredAt, le.ExpiresAt = string(owner), utc(acquired), utc(expires)
			return le, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return lease.Lease{}, fmt.Errorf("renewing %q: %w", le.Item, err)
		}
		// A lease may have been handed over by another process, which must
		// not have died with it.
		held, err := l.held(ctx, le.Item)
		switch {
		case err != nil && !errors.Is(err, lease.ErrFree):
			return lease.Lease{}, fmt.Errorf("renewing %q: %w", le.Item, err)
		case err != nil, held.Token != le.Token, held.process == process:
			return lease.Lease{}, fmt.Errorf("%w: %q", lease.ErrLost, le.Item)
		}
		process = held.process
	}
}

// Release keeps the promise of lease.Locker.
func (l *Locker) Release(ctx context.Context, le lease.Lease) error {
	if err := lease.CheckItem(le.Item); err != nil {
		return err
	}
	err := l.db.Write(ctx, func(tx Tx) error {
		return tx.Exec(l.release, []byte(le.Item), le.Token)
	})
	if err != nil {
		return fmt.Errorf("releasing %q: %w", le.Item, err)
	}
	return nil
}

// Holder keeps the promise of lease.Locker.
func (l *Locker) Holder(ctx context.Context, item string) (lease.Lease, error) {
	if err := lease.CheckItem(item); err != nil {
		return lease.Lease{}, err
	}
	held, err := l.held(ctx, item)
	if err != nil {
		return lease.Lease{}, fmt.Errorf("looking at %q: %w", item, err)
	}
	return held.Lease, nil
}

// held returns the live lease on item, or ErrFree.
func (l *Locker) held(ctx context.Context, item string) (heldLease, error) {
	held, err := l.look(func(query string, args []any, dest ...any) error {
		return l.db.Row(ctx, query, args, dest...)
	}, item)
	if err != nil {
		return heldLease{}, err
	}
	if held.Token == 0 || l.ended(held) {
		return heldLease{}, lease.ErrFree
	}
	return held, nil
}

// look reads the lease on item that has time left; none has the token 0.
func (l *Locker) look(row func(query string, args []any, dest ...any) error, item string) (heldLease, error) {
	held := heldLease{Lease: lease.Lease{Item: item}}
	var owner []byte
	var acquired, expires, ttl, left int64
	err := row(l.holder, l.d.withTick([]byte(item), l.d.Host.Boot),
		&owner, &held.Token, &acquired, &expires, &held.process, &ttl, &left)
	if errors.Is(err, sql.ErrNoRows) {
		return heldLease{}, nil
	}
	held.Owner = string(owner)
	held.AcquiredAt, held.ExpiresAt = utc(acquired), utc(expires)
	held.ttl, held.left = time.Duration(ttl)*time.Microsecond, time.Duration(left)*time.Microsecond
	return held, err
}

// ended reports that a lease that has time left will not be used again: its
// process has ended, or it was made before a boot that set the clock back,
// which shows where boots have no names.
func (l *Locker) ended(held heldLease) bool {
	host := l.d.Host
	if host.Tick == nil || held.process == host.Process {
		return false
	}
	const slack = time.Second // between the clocks of two processes
	return held.left > held.ttl+slack || host.Ended(held.process)
}

// micros rounds up, so that a lease never ends before its holder thinks.
func micros(d time.Duration) int64 {
	us := d.Microseconds()
	if d%time.Microsecond != 0 {
		us++
	}
	return us
}
