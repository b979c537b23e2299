package leasetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
)

// A wrapper around an engine, such as one that counts or retries, passes too.

func TestALockerBehindASlowWrapperPasses(t *testing.T) {
	leasetest.RunLocker(t, harness(mutant{Wrap: func(l lease.Locker) lease.Locker {
		return &locker{
			Locker: l,
			acquire: func(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
				defer slow()()
				return l.Acquire(ctx, item, owner, ttl)
			},
			renew: func(ctx context.Context, held lease.Lease, ttl time.Duration) (lease.Lease, error) {
				defer slow()()
				return l.Renew(ctx, held, ttl)
			},
		}
	}}))
}

// slow lets requests and replies take a while.
func slow() func() {
	const pause = 100 * time.Microsecond
	time.Sleep(pause)
	return func() { time.Sleep(pause) }
}
