package leasetest_test

import (
	"cmp"
	"context"
	"errors"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/lease"
)

const (
	leaseSays     = "a lease says what was asked for and when it ends"
	leaseRefused  = "a held item is refused with who holds it and until when"
	leaseEnds     = "a lease ends after its ttl and not before"
	leaseRenewed  = "a renewed lease keeps its token and lasts until now plus ttl"
	leaseReleased = "release frees the item at once"
)

var leaseMutants = []mutant{
	{what: "forgets the owner", caught: leaseSays, wrap: badLease(func(l *lease.Lease) { l.Owner = "" })},
	{what: "counts tokens from zero", caught: leaseSays, wrap: badLease(func(l *lease.Lease) { l.Token-- })},
	{what: "has local times", caught: leaseSays, wrap: badLease(func(l *lease.Lease) { l.ExpiresAt = l.ExpiresAt.In(time.FixedZone("", 3600)) })},
	{what: "says another end", caught: leaseSays, wrap: badLease(func(l *lease.Lease) { l.ExpiresAt = l.ExpiresAt.Add(time.Second) })},
	{what: "does not say who", caught: leaseRefused, wrap: badHeld(func(lease.Locker, *lease.HeldError) (lease.Lease, error) {
		return lease.Lease{}, lease.ErrHeld
	})},
	{what: "says the wrong owner", caught: leaseRefused, wrap: badHeld(func(_ lease.Locker, held *lease.HeldError) (lease.Lease, error) {
		return lease.Lease{}, &lease.HeldError{Item: held.Item, Owner: "you", Until: held.Until}
	})},
	{what: "does not say until when", caught: leaseRefused, wrap: badHeld(func(_ lease.Locker, held *lease.HeldError) (lease.Lease, error) {
		return lease.Lease{}, &lease.HeldError{Item: held.Item, Owner: held.Owner}
	})},
	{what: "lets the owner in again", caught: "the owner of a lease cannot take it again", wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			if held, err := l.Holder(ctx, item); err == nil && held.Owner == owner {
				return held, nil
			}
			return l.Acquire(ctx, item, owner, ttl)
		}
	})},
	{what: "prolongs a lease when others ask", caught: "a refusal does not prolong the lease",
		wrap: badHeld(func(l lease.Locker, held *lease.HeldError) (lease.Lease, error) {
			ctx := context.Background()
			if own, err := l.Holder(ctx, held.Item); err == nil {
				_, _ = l.Renew(ctx, own, time.Hour)
			}
			return lease.Lease{}, held
		})},
	{what: "ends leases early", caught: leaseEnds, wrap: badTTL(half, same)},
	{what: "ends leases late", caught: leaseEnds, wrap: badTTL(double, same)},
	{what: "renews for too short", caught: leaseRenewed, wrap: badTTL(same, half)},
	{what: "renews for too long", caught: leaseRenewed, wrap: badTTL(same, double)},
	{what: "adds renewals to what is left", caught: "a renewal may shorten a lease", wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			return l.Renew(ctx, own, max(ttl, time.Until(own.ExpiresAt)))
		}
	})},
	{what: "renews three times only", caught: "a lease that is renewed in time outlives many ttls", wrap: badRenew(func(l lease.Locker) renewFunc {
		n := 0
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			if n++; n > 3 {
				return lease.Lease{}, lease.ErrLost
			}
			return l.Renew(ctx, own, ttl)
		}
	})},
	{what: "takes a new lease to renew", caught: leaseRenewed, wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			_ = l.Release(ctx, own)
			return l.Acquire(ctx, own.Item, own.Owner, ttl)
		}
	})},
	{what: "releases in its own time", caught: leaseReleased, wrap: badRelease(func(lease.Locker) releaseFunc {
		return func(context.Context, lease.Lease) error { return nil }
	})},
}

var tokenMutants = []mutant{
	{what: "renews what has ended", caught: "an ended lease cannot be renewed even if nobody took it", wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			renewed, err := l.Renew(ctx, own, ttl)
			if errors.Is(err, lease.ErrLost) {
				return l.Acquire(ctx, own.Item, own.Owner, ttl)
			}
			return renewed, err
		}
	})},
	{what: "renews for anybody of that name", caught: "an old token does not renew the lease of a successor", wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			if held, err := l.Holder(ctx, own.Item); err == nil && held.Owner == own.Owner {
				own = held
			}
			return l.Renew(ctx, own, ttl)
		}
	})},
	{what: "finds leases by their token", caught: "a token is good for its own item only", wrap: byToken},
	{what: "refuses to release twice", caught: "releasing an ended lease is not an error", wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if _, err := l.Holder(ctx, own.Item); err != nil {
				return err
			}
			return l.Release(ctx, own)
		}
	})},
	{what: "releases whatever is held", caught: "a late release never ends the lease of a successor", wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if held, err := l.Holder(ctx, own.Item); err == nil {
				own = held
			}
			return l.Release(ctx, own)
		}
	})},
	{what: "releases for the owner only", caught: "whoever knows the token can end the lease", wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if held, err := l.Holder(ctx, own.Item); err == nil && held.Owner != own.Owner {
				return nil
			}
			return l.Release(ctx, own)
		}
	})},
	{what: "forgets tokens with the lease", caught: "tokens rise after release and after expiry", wrap: oldTokens},
	{what: "shows the lease as it was granted", caught: "the holder is the live lease or none", wrap: func(l lease.Locker) lease.Locker {
		var granted lease.Lease
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (own lease.Lease, err error) {
				granted, err = l.Acquire(ctx, item, owner, ttl)
				return granted, err
			},
			holder: func(ctx context.Context, item string) (lease.Lease, error) {
				_, err := l.Holder(ctx, item)
				return granted, err
			},
		}
	}},
	{what: "shows a lease that has ended", caught: "the holder is the live lease or none", wrap: badHolder(func(l lease.Locker) holderFunc {
		var last lease.Lease
		return func(ctx context.Context, item string) (lease.Lease, error) {
			own, err := l.Holder(ctx, item)
			if errors.Is(err, lease.ErrFree) && last.Token > 0 {
				return last, nil
			}
			last = own
			return own, err
		}
	})},
	{what: "keeps state in the handle", caught: "two handles see one lease", again: anotherLocker},
	{what: "counts tokens in the handle", caught: "tokens rise across handles", again: anotherLocker},
	{what: "locks in the handle", caught: "holders on two handles never overlap", again: anotherLocker},
}

const (
	callEnded = "a context that has ended takes, prolongs and ends nothing"
	callTtls  = "a ttl below a millisecond is invalid"
)

var callMutants = []mutant{
	{what: "rounds short leases up", caught: callTtls, wrap: badTTL(rounded, same)},
	{what: "rounds short renewals up", caught: callTtls, wrap: badTTL(same, rounded)},
	{what: "has leases of a day at most", caught: "the longest ttl does not overflow", wrap: badTTL(capped, capped)},
	{what: "overflows", caught: "the longest ttl does not overflow", wrap: badTTL(double, double)},
	{what: "acquires after the context", caught: callEnded, wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			return l.Acquire(context.WithoutCancel(ctx), item, owner, ttl)
		}
	})},
	{what: "leaves a ghost", caught: callEnded, wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(context.WithoutCancel(ctx), item, owner, ttl)
			if ctx.Err() != nil {
				return lease.Lease{}, ctx.Err()
			}
			return own, err
		}
	})},
	{what: "renews after the context", caught: callEnded, wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			return l.Renew(context.WithoutCancel(ctx), own, ttl)
		}
	})},
	{what: "releases after the context", caught: callEnded, wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			return l.Release(context.WithoutCancel(ctx), own)
		}
	})},
	{what: "ends the lease with the context", caught: "the context of a call does not bound the lease", wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(ctx, item, owner, ttl)
			context.AfterFunc(ctx, func() { _ = l.Release(context.WithoutCancel(ctx), own) })
			return own, err
		}
	})},
	{what: "looks before it takes", caught: "one of many gets a free item", wrap: badAcquire(twice)},
	{what: "takes what was free a moment ago", caught: "holders never overlap", wrap: badAcquire(twice)},
	{what: "renews by taking again", caught: "a renewal cannot bring back a released lease", wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			if _, err := l.Renew(ctx, own, ttl); err != nil {
				return lease.Lease{}, err
			}
			time.Sleep(time.Millisecond)
			_ = l.Release(ctx, own)
			return l.Acquire(ctx, own.Item, own.Owner, ttl)
		}
	})},
}

const (
	nameAlike  = "names that look alike are different items"
	nameLength = "an item or owner of no or of too many bytes is invalid"
)

var nameMutants = []mutant{
	{what: "folds case", caught: nameAlike, wrap: badItem(strings.ToLower)},
	{what: "drops spaces at the end", caught: nameAlike, wrap: badItem(func(s string) string { return "x" + strings.TrimRight(s, " ") })},
	{what: "ends names at NUL", caught: nameAlike, wrap: badItem(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return "x" + s })},
	{what: "composes letters", caught: nameAlike, wrap: badItem(strings.NewReplacer("e\u0301", "é").Replace)},
	{what: "replaces what is not UTF-8", caught: nameAlike, wrap: badItem(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })},
	{what: "takes names for paths", caught: nameAlike, wrap: badItem(path.Clean)},
	{what: "keeps 255 bytes of a name", caught: nameAlike, wrap: badItem(func(s string) string { return s[:min(len(s), 255)] })},
	{what: "keeps 1,023 bytes of a name", caught: nameAlike, wrap: badItem(func(s string) string { return s[:min(len(s), 1023)] })},
	{what: "has one lock for all", caught: "items are locked one by one", wrap: badItem(func(string) string { return "one" })},
	{what: "allows no bytes", caught: nameLength, wrap: badItem(func(s string) string { return cmp.Or(s, "default") })},
	{what: "releases what cannot be", caught: nameLength, wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if err := l.Release(ctx, own); !errors.Is(err, lease.ErrInvalid) {
				return err
			}
			return nil
		}
	})},
	{what: "renews for whoever knows the token", caught: nameLength, wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			own.Owner = "anybody"
			return l.Renew(ctx, own, ttl)
		}
	})},
	{what: "counts letters", caught: nameLength, wrap: badItem(func(s string) string {
		if n := utf8.RuneCountInString(s); n <= 1024 {
			return s[:min(len(s), 1024)]
		}
		return s
	})},
}
