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
	{What: "forgets the owner", Caught: leaseSays, Wrap: badLease(func(l *lease.Lease) { l.Owner = "" })},
	{What: "counts tokens from zero", Caught: leaseSays, Wrap: badLease(func(l *lease.Lease) { l.Token-- })},
	{What: "has local times", Caught: leaseSays, Wrap: badLease(func(l *lease.Lease) { l.ExpiresAt = l.ExpiresAt.In(time.FixedZone("", 3600)) })},
	{What: "says another end", Caught: leaseSays, Wrap: badLease(func(l *lease.Lease) { l.ExpiresAt = l.ExpiresAt.Add(time.Second) })},
	{What: "does not say who", Caught: leaseRefused, Wrap: badHeld(func(lease.Locker, *lease.HeldError) (lease.Lease, error) {
		return lease.Lease{}, lease.ErrHeld
	})},
	{What: "says the wrong owner", Caught: leaseRefused, Wrap: badHeld(func(_ lease.Locker, held *lease.HeldError) (lease.Lease, error) {
		return lease.Lease{}, &lease.HeldError{Item: held.Item, Owner: "you", Until: held.Until}
	})},
	{What: "does not say until when", Caught: leaseRefused, Wrap: badHeld(func(_ lease.Locker, held *lease.HeldError) (lease.Lease, error) {
		return lease.Lease{}, &lease.HeldError{Item: held.Item, Owner: held.Owner}
	})},
	{What: "lets the owner in again", Caught: "the owner of a lease cannot take it again", Wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			if held, err := l.Holder(ctx, item); err == nil && held.Owner == owner {
				return held, nil
			}
			return l.Acquire(ctx, item, owner, ttl)
		}
	})},
	{What: "prolongs a lease when others ask", Caught: "a refusal does not prolong the lease",
		Wrap: badHeld(func(l lease.Locker, held *lease.HeldError) (lease.Lease, error) {
			ctx := context.Background()
			if own, err := l.Holder(ctx, held.Item); err == nil {
				_, _ = l.Renew(ctx, own, time.Hour)
			}
			return lease.Lease{}, held
		})},
	{What: "ends leases early", Caught: leaseEnds, Wrap: badTTL(half, same)},
	{What: "ends leases late", Caught: leaseEnds, Wrap: badTTL(double, same)},
	{What: "renews for too short", Caught: leaseRenewed, Wrap: badTTL(same, half)},
	{What: "renews for too long", Caught: leaseRenewed, Wrap: badTTL(same, double)},
	{What: "adds renewals to what is left", Caught: "a renewal may shorten a lease", Wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			return l.Renew(ctx, own, max(ttl, time.Until(own.ExpiresAt)))
		}
	})},
	{What: "renews three times only", Caught: "a lease that is renewed in time outlives many ttls", Wrap: badRenew(func(l lease.Locker) renewFunc {
		n := 0
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			if n++; n > 3 {
				return lease.Lease{}, lease.ErrLost
			}
			return l.Renew(ctx, own, ttl)
		}
	})},
	{What: "takes a new lease to renew", Caught: leaseRenewed, Wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			_ = l.Release(ctx, own)
			return l.Acquire(ctx, own.Item, own.Owner, ttl)
		}
	})},
	{What: "releases in its own time", Caught: leaseReleased, Wrap: badRelease(func(lease.Locker) releaseFunc {
		return func(context.Context, lease.Lease) error { return nil }
	})},
}

var tokenMutants = []mutant{
	{What: "renews what has ended", Caught: "an ended lease cannot be renewed even if nobody took it", Wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			renewed, err := l.Renew(ctx, own, ttl)
			if errors.Is(err, lease.ErrLost) {
				return l.Acquire(ctx, own.Item, own.Owner, ttl)
			}
			return renewed, err
		}
	})},
	{What: "renews for anybody of that name", Caught: "an old token does not renew the lease of a successor", Wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			if held, err := l.Holder(ctx, own.Item); err == nil && held.Owner == own.Owner {
				own = held
			}
			return l.Renew(ctx, own, ttl)
		}
	})},
	{What: "finds leases by their token", Caught: "a token is good for its own item only", Wrap: byToken},
	{What: "refuses to release twice", Caught: "releasing an ended lease is not an error", Wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if _, err := l.Holder(ctx, own.Item); err != nil {
				return err
			}
			return l.Release(ctx, own)
		}
	})},
	{What: "releases whatever is held", Caught: "a late release never ends the lease of a successor", Wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if held, err := l.Holder(ctx, own.Item); err == nil {
				own = held
			}
			return l.Release(ctx, own)
		}
	})},
	{What: "releases for the owner only", Caught: "whoever knows the token can end the lease", Wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if held, err := l.Holder(ctx, own.Item); err == nil && held.Owner != own.Owner {
				return nil
			}
			return l.Release(ctx, own)
		}
	})},
	{What: "forgets tokens with the lease", Caught: "tokens rise after release and after expiry", Wrap: oldTokens},
	{What: "shows the lease as it was granted", Caught: "the holder is the live lease or none", Wrap: func(l lease.Locker) lease.Locker {
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
	{What: "shows a lease that has ended", Caught: "the holder is the live lease or none", Wrap: badHolder(func(l lease.Locker) holderFunc {
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
	{What: "keeps state in the handle", Caught: "two handles see one lease", Again: anotherLocker},
	{What: "counts tokens in the handle", Caught: "tokens rise across handles", Again: anotherLocker},
	{What: "locks in the handle", Caught: "holders on two handles never overlap", Again: anotherLocker},
}

const (
	callEnded = "a context that has ended takes, prolongs and ends nothing"
	callTtls  = "a ttl below a millisecond is invalid"
)

var callMutants = []mutant{
	{What: "rounds short leases up", Caught: callTtls, Wrap: badTTL(rounded, same)},
	{What: "rounds short renewals up", Caught: callTtls, Wrap: badTTL(same, rounded)},
	{What: "has leases of a day at most", Caught: "the longest ttl does not overflow", Wrap: badTTL(capped, capped)},
	{What: "overflows", Caught: "the longest ttl does not overflow", Wrap: badTTL(double, double)},
	{What: "acquires after the context", Caught: callEnded, Wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			return l.Acquire(context.WithoutCancel(ctx), item, owner, ttl)
		}
	})},
	{What: "leaves a ghost", Caught: callEnded, Wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(context.WithoutCancel(ctx), item, owner, ttl)
			if ctx.Err() != nil {
				return lease.Lease{}, ctx.Err()
			}
			return own, err
		}
	})},
	{What: "renews after the context", Caught: callEnded, Wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			return l.Renew(context.WithoutCancel(ctx), own, ttl)
		}
	})},
	{What: "releases after the context", Caught: callEnded, Wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			return l.Release(context.WithoutCancel(ctx), own)
		}
	})},
	{What: "ends the lease with the context", Caught: "the context of a call does not bound the lease", Wrap: badAcquire(func(l lease.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
			own, err := l.Acquire(ctx, item, owner, ttl)
			context.AfterFunc(ctx, func() { _ = l.Release(context.WithoutCancel(ctx), own) })
			return own, err
		}
	})},
	{What: "looks before it takes", Caught: "one of many gets a free item", Wrap: badAcquire(twice)},
	{What: "takes what was free a moment ago", Caught: "holders never overlap", Wrap: badAcquire(twice)},
	{What: "renews by taking again", Caught: "a renewal cannot bring back a released lease", Wrap: badRenew(func(l lease.Locker) renewFunc {
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
	{What: "folds case", Caught: nameAlike, Wrap: badItem(strings.ToLower)},
	{What: "drops spaces at the end", Caught: nameAlike, Wrap: badItem(func(s string) string { return "x" + strings.TrimRight(s, " ") })},
	{What: "ends names at NUL", Caught: nameAlike, Wrap: badItem(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return "x" + s })},
	{What: "composes letters", Caught: nameAlike, Wrap: badItem(strings.NewReplacer("e\u0301", "é").Replace)},
	{What: "replaces what is not UTF-8", Caught: nameAlike, Wrap: badItem(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })},
	{What: "takes names for paths", Caught: nameAlike, Wrap: badItem(path.Clean)},
	{What: "keeps 255 bytes of a name", Caught: nameAlike, Wrap: badItem(func(s string) string { return s[:min(len(s), 255)] })},
	{What: "keeps 1,023 bytes of a name", Caught: nameAlike, Wrap: badItem(func(s string) string { return s[:min(len(s), 1023)] })},
	{What: "has one lock for all", Caught: "items are locked one by one", Wrap: badItem(func(string) string { return "one" })},
	{What: "allows no bytes", Caught: nameLength, Wrap: badItem(func(s string) string { return cmp.Or(s, "default") })},
	{What: "releases what cannot be", Caught: nameLength, Wrap: badRelease(func(l lease.Locker) releaseFunc {
		return func(ctx context.Context, own lease.Lease) error {
			if err := l.Release(ctx, own); !errors.Is(err, lease.ErrInvalid) {
				return err
			}
			return nil
		}
	})},
	{What: "renews for whoever knows the token", Caught: nameLength, Wrap: badRenew(func(l lease.Locker) renewFunc {
		return func(ctx context.Context, own lease.Lease, ttl time.Duration) (lease.Lease, error) {
			own.Owner = "anybody"
			return l.Renew(ctx, own, ttl)
		}
	})},
	{What: "counts letters", Caught: nameLength, Wrap: badItem(func(s string) string {
		if n := utf8.RuneCountInString(s); n <= 1024 {
			return s[:min(len(s), 1024)]
		}
		return s
	})},
}
