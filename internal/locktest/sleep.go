package locktest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upkeep-go/upkeep/internal/sleepless"
	"github.com/upkeep-go/upkeep/lease"
)

// SleepBy makes the clocks that go on run ahead of the program's by what they
// return, until the test ends: that of the system and the wall clock.
func SleepBy(t testing.TB, system, wall func() time.Duration) {
	begun, before := time.Now(), sleepless.Clocks
	sleepless.Clocks = func() [2]time.Duration {
		awake := time.Since(begun)
		return [2]time.Duration{awake + system(), awake + wall()}
	}
	t.Cleanup(func() { sleepless.Clocks = before })
}

// Awake is a lease.Locker whose clock goes on while the machine of its holders sleeps.
type Awake struct {
	Slept atomic.Int64 // nanoseconds

	mu     sync.Mutex
	leases map[string]lease.Lease
	token  int64
	renews int
	fault  error // of Renew
}

// NewAwake returns one without leases.
func NewAwake() *Awake { return &Awake{leases: map[string]lease.Lease{}} }

func (a *Awake) now() time.Time { return time.Now().Add(time.Duration(a.Slept.Load())) }

// Acquire implements lease.Locker.
func (a *Awake) Acquire(_ context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, held := a.leases[item]; held && a.now().Before(l.ExpiresAt) {
		return lease.Lease{}, &lease.HeldError{Item: item, Owner: l.Owner, Until: l.ExpiresAt}
	}
	a.token++
	a.leases[item] = lease.Lease{Item: item, Owner: owner, Token: a.token, AcquiredAt: a.now(), ExpiresAt: a.now().Add(ttl)}
	return a.leases[item], nil
}

// Renew implements lease.Locker.
func (a *Awake) Renew(_ context.Context, old lease.Lease, ttl time.Duration) (lease.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renews++
	l := a.leases[old.Item]
	if a.fault != nil {
		return lease.Lease{}, a.fault
	}
	if l.Token != old.Token || !a.now().Before(l.ExpiresAt) {
		return lease.Lease{}, lease.ErrLost
	}
	l.ExpiresAt = a.now().Add(ttl)
	a.leases[old.Item] = l
	return l, nil
}

// Release implements lease.Locker.
func (a *Awake) Release(_ context.Context, old lease.Lease) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leases[old.Item].Token == old.Token {
		delete(a.leases, old.Item)
	}
	return nil
}

// Holder implements lease.Locker.
func (a *Awake) Holder(_ context.Context, item string) (lease.Lease, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l, held := a.leases[item]; held && a.now().Before(l.ExpiresAt) {
		return l, nil
	}
	return lease.Lease{}, lease.ErrFree
}

// Fail makes renewals fail with this error, or not.
func (a *Awake) Fail(fault error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

// Renewals returns how often a renewal was asked for.
func (a *Awake) Renewals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.renews
}

// Asleep runs f in a bubble, with a function that lets the machine sleep: the
// clock of the program stands, the locker's goes on.
func Asleep(t *testing.T, f func(t *testing.T, l *Awake, sleep func(time.Duration))) {
	synctest.Test(t, func(t *testing.T) {
		l := NewAwake()
		slept := func() time.Duration { return time.Duration(l.Slept.Load()) }
		SleepBy(t, slept, slept)
		f(t, l, func(d time.Duration) { l.Slept.Add(int64(d)) })
	})
}
