package lease

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Locker lets one holder at a time change an item.
//
// An item and an owner are 1 to 1,024 bytes of any kind, compared byte by
// byte; anything else is ErrInvalid. Implementations are safe for concurrent
// use, and by many processes when their state lives outside the process.
// Package leasetest checks them.
//
// Source: WNCMS Updates API, "lock check" (3 minutes without activity).
type Locker interface {
	// Acquire takes the lock on item for owner and for ttl, which must be at
	// least a millisecond (else ErrInvalid) and is measured by the engine's
	// clock. It never waits: if another lease is live, the owner's own
	// included, it returns a *HeldError, which is ErrHeld. The token of the
	// lease is greater than every earlier token of the item, for ever.
	Acquire(ctx context.Context, item, owner string, ttl time.Duration) (Lease, error)

	// Renew makes the lease last until now+ttl and returns it with the same
	// token. It returns ErrLost if the lease has ended, even if nobody else
	// holds the item.
	Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error)

	// Release ends the lease of this item and token. Releasing an ended lease
	// is not an error and never ends somebody else's.
	Release(ctx context.Context, l Lease) error

	// Holder returns the live lease on item, or ErrFree.
	Holder(ctx context.Context, item string) (Lease, error)
}

// Lease is the right to change an item for a time.
type Lease struct {
	Item, Owner string
	// Token is greater than every earlier token of the item: something that
	// remembers the greatest token it has seen can refuse a holder that lost
	// its lease and does not know it yet.
	Token      int64
	AcquiredAt time.Time // UTC, by the engine's clock: for people, never for decisions
	ExpiresAt  time.Time
}

var escape = strings.NewReplacer("%", "%25", "/", "%2F")

// Item names an item of a domain: the domain and its parts, joined by slashes,
// with a slash or percent sign in one of them escaped as in a URL, so that no
// two lists of parts have one name. Item("rollout", "prod", "web") is
// "rollout/prod/web".
func Item(domain string, parts ...string) string {
	item := escape.Replace(domain)
	for _, part := range parts {
		item += "/" + escape.Replace(part)
	}
	return item
}

const maxName = 1024 // bytes of an item or an owner

// CheckItem returns ErrInvalid for an item that no Locker takes.
func CheckItem(item string) error { return checkName("item", item) }

// Check returns ErrInvalid for a lease that no Locker gives. Engines call it.
func Check(item, owner string, ttl time.Duration) error {
	if err := CheckItem(item); err != nil {
		return err
	}
	if err := checkName("owner", owner); err != nil {
		return err
	}
	if ttl < time.Millisecond {
		return fmt.Errorf("%w: a lease of %s is shorter than a millisecond", ErrInvalid, ttl)
	}
	return nil
}

func checkName(what, name string) error {
	if len(name) < 1 || len(name) > maxName {
		return fmt.Errorf("%w: the %s has %d bytes, not 1 to 1,024", ErrInvalid, what, len(name))
	}
	return nil
}
