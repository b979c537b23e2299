package updatetest_test

import (
	"cmp"
	"context"
	"errors"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/update"
)

const (
	leaseSays     = "a lease says what was asked for and when it ends"
	leaseRefused  = "a held item is refused with who holds it and until when"
	leaseEnds     = "a lease ends after its ttl and not before"
	leaseRenewed  = "a renewed lease keeps its token and lasts until now plus ttl"
	leaseReleased = "release frees the item at once"
)

var leaseMutants = []lockerMutant{
	{what: "is not comparable", caught: "the dynamic type is comparable",
		wrap: func(l update.Locker) update.Locker { return anyLocker{Locker: l} }},
	{what: "forgets the owner", caught: leaseSays, wrap: badLease(func(l *update.Lease) { l.Owner = "" })},
	{what: "counts tokens from zero", caught: leaseSays, wrap: badLease(func(l *update.Lease) { l.Token-- })},
	{what: "has local times", caught: leaseSays, wrap: badLease(func(l *update.Lease) { l.ExpiresAt = l.ExpiresAt.In(time.FixedZone("", 3600)) })},
	{what: "says another end", caught: leaseSays, wrap: badLease(func(l *update.Lease) { l.ExpiresAt = l.ExpiresAt.Add(time.Second) })},
	{what: "does not say who", caught: leaseRefused, wrap: badHeld(func(update.Locker, *update.HeldError) (update.Lease, error) {
		return update.Lease{}, update.ErrHeld
	})},
	{what: "says the wrong owner", caught: leaseRefused, wrap: badHeld(func(_ update.Locker, held *update.HeldError) (update.Lease, error) {
		return update.Lease{}, &update.HeldError{Item: held.Item, Owner: "you", Until: held.Until}
	})},
	{what: "does not say until when", caught: leaseRefused, wrap: badHeld(func(_ update.Locker, held *update.HeldError) (update.Lease, error) {
		return update.Lease{}, &update.HeldError{Item: held.Item, Owner: held.Owner}
	})},
	{what: "lets the owner in again", caught: "the owner of a lease cannot take it again", wrap: badAcquire(func(l update.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			if held, err := l.Holder(ctx, item); err == nil && held.Owner == owner {
				return held, nil
			}
			return l.Acquire(ctx, item, owner, ttl)
		}
	})},
	{what: "prolongs a lease when others ask", caught: "a refusal does not prolong the lease",
		wrap: badHeld(func(l update.Locker, held *update.HeldError) (update.Lease, error) {
			ctx := context.Background()
			if lease, err := l.Holder(ctx, held.Item); err == nil {
				_, _ = l.Renew(ctx, lease, time.Hour)
			}
			return update.Lease{}, held
		})},
	{what: "ends leases early", caught: leaseEnds, wrap: badTTL(half, same)},
	{what: "ends leases late", caught: leaseEnds, wrap: badTTL(double, same)},
	{what: "renews for too short", caught: leaseRenewed, wrap: badTTL(same, half)},
	{what: "renews for too long", caught: leaseRenewed, wrap: badTTL(same, double)},
	{what: "adds renewals to what is left", caught: "a renewal may shorten a lease", wrap: badRenew(func(l update.Locker) renewFunc {
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			return l.Renew(ctx, lease, max(ttl, time.Until(lease.ExpiresAt)))
		}
	})},
	{what: "renews three times only", caught: "a lease that is renewed in time outlives many ttls", wrap: badRenew(func(l update.Locker) renewFunc {
		n := 0
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			if n++; n > 3 {
				return update.Lease{}, update.ErrLost
			}
			return l.Renew(ctx, lease, ttl)
		}
	})},
	{what: "takes a new lease to renew", caught: leaseRenewed, wrap: badRenew(func(l update.Locker) renewFunc {
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			_ = l.Release(ctx, lease)
			return l.Acquire(ctx, lease.Item, lease.Owner, ttl)
		}
	})},
	{what: "releases in its own time", caught: leaseReleased, wrap: badRelease(func(update.Locker) releaseFunc {
		return func(context.Context, update.Lease) error { return nil }
	})},
}

var tokenMutants = []lockerMutant{
	{what: "renews what has ended", caught: "an ended lease cannot be renewed even if nobody took it", wrap: badRenew(func(l update.Locker) renewFunc {
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			renewed, err := l.Renew(ctx, lease, ttl)
			if errors.Is(err, update.ErrLost) {
				return l.Acquire(ctx, lease.Item, lease.Owner, ttl)
			}
			return renewed, err
		}
	})},
	{what: "renews for anybody of that name", caught: "an old token does not renew the lease of a successor", wrap: badRenew(func(l update.Locker) renewFunc {
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			if held, err := l.Holder(ctx, lease.Item); err == nil && held.Owner == lease.Owner {
				lease = held
			}
			return l.Renew(ctx, lease, ttl)
		}
	})},
	{what: "finds leases by their token", caught: "a token is good for its own item only", wrap: byToken},
	{what: "refuses to release twice", caught: "releasing an ended lease is not an error", wrap: badRelease(func(l update.Locker) releaseFunc {
		return func(ctx context.Context, lease update.Lease) error {
			if _, err := l.Holder(ctx, lease.Item); err != nil {
				return err
			}
			return l.Release(ctx, lease)
		}
	})},
	{what: "releases whatever is held", caught: "a late release never ends the lease of a successor", wrap: badRelease(func(l update.Locker) releaseFunc {
		return func(ctx context.Context, lease update.Lease) error {
			if held, err := l.Holder(ctx, lease.Item); err == nil {
				lease = held
			}
			return l.Release(ctx, lease)
		}
	})},
	{what: "releases for the owner only", caught: "whoever knows the token can end the lease", wrap: badRelease(func(l update.Locker) releaseFunc {
		return func(ctx context.Context, lease update.Lease) error {
			if held, err := l.Holder(ctx, lease.Item); err == nil && held.Owner != lease.Owner {
				return nil
			}
			return l.Release(ctx, lease)
		}
	})},
	{what: "forgets tokens with the lease", caught: "tokens rise after release and after expiry", wrap: oldTokens},
	{what: "shows the lease as it was granted", caught: "the holder is the live lease or none", wrap: func(l update.Locker) update.Locker {
		var granted update.Lease
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (lease update.Lease, err error) {
				granted, err = l.Acquire(ctx, item, owner, ttl)
				return granted, err
			},
			holder: func(ctx context.Context, item string) (update.Lease, error) {
				_, err := l.Holder(ctx, item)
				return granted, err
			},
		}
	}},
	{what: "shows a lease that has ended", caught: "the holder is the live lease or none", wrap: badHolder(func(l update.Locker) holderFunc {
		var last update.Lease
		return func(ctx context.Context, item string) (update.Lease, error) {
			lease, err := l.Holder(ctx, item)
			if errors.Is(err, update.ErrFree) && last.Token > 0 {
				return last, nil
			}
			last = lease
			return lease, err
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

var callMutants = []lockerMutant{
	{what: "rounds short leases up", caught: callTtls, wrap: badTTL(rounded, same)},
	{what: "rounds short renewals up", caught: callTtls, wrap: badTTL(same, rounded)},
	{what: "has leases of a day at most", caught: "the longest ttl does not overflow", wrap: badTTL(capped, capped)},
	{what: "overflows", caught: "the longest ttl does not overflow", wrap: badTTL(double, double)},
	{what: "acquires after the context", caught: callEnded, wrap: badAcquire(func(l update.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			return l.Acquire(context.WithoutCancel(ctx), item, owner, ttl)
		}
	})},
	{what: "leaves a ghost", caught: callEnded, wrap: badAcquire(func(l update.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			lease, err := l.Acquire(context.WithoutCancel(ctx), item, owner, ttl)
			if ctx.Err() != nil {
				return update.Lease{}, ctx.Err()
			}
			return lease, err
		}
	})},
	{what: "renews after the context", caught: callEnded, wrap: badRenew(func(l update.Locker) renewFunc {
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			return l.Renew(context.WithoutCancel(ctx), lease, ttl)
		}
	})},
	{what: "releases after the context", caught: callEnded, wrap: badRelease(func(l update.Locker) releaseFunc {
		return func(ctx context.Context, lease update.Lease) error {
			return l.Release(context.WithoutCancel(ctx), lease)
		}
	})},
	{what: "ends the lease with the context", caught: "the context of a call does not bound the lease", wrap: badAcquire(func(l update.Locker) acquireFunc {
		return func(ctx context.Context, item, owner string, ttl time.Duration) (update.Lease, error) {
			lease, err := l.Acquire(ctx, item, owner, ttl)
			context.AfterFunc(ctx, func() { _ = l.Release(context.WithoutCancel(ctx), lease) })
			return lease, err
		}
	})},
	{what: "looks before it takes", caught: "one of many gets a free item", wrap: badAcquire(twice)},
	{what: "takes what was free a moment ago", caught: "holders never overlap", wrap: badAcquire(twice)},
	{what: "renews by taking again", caught: "a renewal cannot bring back a released lease", wrap: badRenew(func(l update.Locker) renewFunc {
		return func(ctx context.Context, lease update.Lease, ttl time.Duration) (update.Lease, error) {
			if _, err := l.Renew(ctx, lease, ttl); err != nil {
				return update.Lease{}, err
			}
			time.Sleep(time.Millisecond)
			_ = l.Release(ctx, lease)
			return l.Acquire(ctx, lease.Item, lease.Owner, ttl)
		}
	})},
}

const (
	nameAlike  = "names that look alike are different items"
	nameLength = "an item or owner of no or of too many bytes is invalid"
)

var nameMutants = []lockerMutant{
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
	{what: "releases what cannot be", caught: nameLength, wrap: badRelease(func(l update.Locker) releaseFunc {
		return func(ctx context.Context, lease update.Lease) error {
			if err := l.Release(ctx, lease); !errors.Is(err, update.ErrInvalid) {
				return err
			}
			return nil
		}
	})},
	{what: "counts letters", caught: nameLength, wrap: badItem(func(s string) string {
		if n := utf8.RuneCountInString(s); n <= 1024 {
			return s[:min(len(s), 1024)]
		}
		return s
	})},
}
