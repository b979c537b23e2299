package leasetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
)

// lockerCase is a promise of lease.Locker, in words, and its check.
type lockerCase struct {
	Name string
	Run  func(*lockerTest)
}

// lockerCases are what any Locker can be asked.
var lockerCases = []lockerCase{
	{"a lease says what was asked for and when it ends", leaseSays},
	{"a held item is refused with who holds it and until when", heldIsRefused},
	{"the owner of a lease cannot take it again", ownerCannotReenter},
	{"a refusal does not prolong the lease", refusalChangesNothing},
	{"a lease ends after its ttl and not before", leaseEnds},
	{"a renewed lease keeps its token and lasts until now plus ttl", renewed},
	{"a renewal may shorten a lease", renewalShortens},
	{"a lease that is renewed in time outlives many ttls", outlives},
	{"an ended lease cannot be renewed even if nobody took it", endedCannotRenew},
	{"an old token does not renew the lease of a successor", oldTokenCannotRenew},
	{"a token is good for its own item only", tokenOfOtherItem},
	{"release frees the item at once", releaseFrees},
	{"releasing an ended lease is not an error", releaseTwice},
	{"a late release never ends the lease of a successor", lateRelease},
	{"whoever knows the token can end the lease", breakGlass},
	{"tokens rise after release and after expiry", tokensRise},
	{"the holder is the live lease or none", holder},
	{"items are locked one by one", itemsAreIndependent},
	{"names that look alike are different items", oddNames},
	{"an item or owner of no or of too many bytes is invalid", invalidNames},
	{"a ttl below a millisecond is invalid", invalidTTL},
	{"the longest ttl does not overflow", longestTTL},
	{"a context that has ended takes, prolongs and ends nothing", endedContext},
	{"the context of a call does not bound the lease", contextIsNotLife},
	{"one of many gets a free item", oneOfMany},
	{"holders never overlap", func(t *lockerTest) { neverOverlap(t, t.Locker, t.Locker) }},
	{"a renewal cannot bring back a released lease", renewAgainstRelease},
}

// cases returns the cases that the engine can be asked.
func (h Harness) cases() []suitetest.Case {
	cases := slices.Clone(lockerCases)
	if h.Again != nil {
		cases = append(cases,
			lockerCase{"two handles see one lease", twoHandles},
			lockerCase{"tokens rise across handles", twoHandlesTokens},
			lockerCase{"holders on two handles never overlap", func(t *lockerTest) { neverOverlap(t, t.Locker, t.again()) }},
		)
	}
	return suitetest.On(h.start, cases)
}

// lockerTest is what a case of RunLocker works with.
type lockerTest struct {
	testing.TB
	lease.Locker // over fresh state
	again        func() lease.Locker
	ttl          time.Duration // of leases that a case outlives
	toEnd, past  time.Duration // pauses from a lease's begin to just before its end, and from there past it
}

func (h Harness) start(t testing.TB) *lockerTest {
	lt := &lockerTest{TB: t, Locker: h.Open(t), ttl: 3 * time.Minute, past: 4 * time.Millisecond}
	lt.toEnd = lt.ttl - lt.past/2
	if h.RealTime {
		lt.ttl = 600 * time.Millisecond
		lt.toEnd, lt.past = lt.ttl/2, lt.ttl*3/4
	}
	lt.again = func() lease.Locker { return h.Again(t, lt.Locker) }
	return lt
}

// take acquires an item that must be free, for longer than the case lasts.
func (t *lockerTest) take(item string) lease.Lease {
	t.Helper()
	return t.takeFor(item, time.Hour)
}

// takeFor acquires an item that must be free.
func (t *lockerTest) takeFor(item string, ttl time.Duration) lease.Lease {
	t.Helper()
	l, err := t.Acquire(t.Context(), item, "me", ttl)
	require.NoError(t, err, "a free item must be granted")
	return l
}

// requireHolder checks that l is live.
func (t *lockerTest) requireHolder(l lease.Lease, why string) {
	t.Helper()
	got, err := t.Holder(t.Context(), l.Item)
	require.NoError(t, err, why)
	t.requireSame(l, got, why)
}

// requireSame compares leases; times may be rounded to a millisecond.
func (t *lockerTest) requireSame(want, got lease.Lease, why string) {
	t.Helper()
	require.WithinDuration(t, want.AcquiredAt, got.AcquiredAt, time.Millisecond, why)
	require.WithinDuration(t, want.ExpiresAt, got.ExpiresAt, time.Millisecond, why)
	want.AcquiredAt, want.ExpiresAt = got.AcquiredAt, got.ExpiresAt
	require.Equal(t, want, got, why)
}

// requireFree checks that nobody holds the item.
func (t *lockerTest) requireFree(item, why string) {
	t.Helper()
	_, err := t.Holder(t.Context(), item)
	require.ErrorIs(t, err, lease.ErrFree, why)
}

// requireRefused checks that somebody else cannot take l's item from it.
func (t *lockerTest) requireRefused(l lease.Lease, why string) {
	t.Helper()
	_, err := t.Acquire(t.Context(), l.Item, "somebody else", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld, why)
}
