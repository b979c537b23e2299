// Package leasetest checks an engine against the promises of lease.Locker. Each
// case is named after the promise it checks.
//
// Cases open fresh state, one after the other, each in a testing/synctest
// bubble, so that a lease of three minutes ends at once.
package leasetest

import (
	"testing"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
)

// Harness describes the lease.Locker under test.
type Harness struct {
	// Open returns a Locker over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) lease.Locker
	// Again opens the state of first, which Open returned, once more, as
	// another process would, and cleans up with t.Cleanup. Without it, for an
	// engine whose state is its own, there are no cases of two handles.
	Again func(t testing.TB, first lease.Locker) lease.Locker
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, with short leases.
	RealTime bool
}

// RunLocker checks that an engine keeps every promise of lease.Locker.
func RunLocker(t *testing.T, h Harness) { suitetest.Run(t, h.RealTime, h.cases()) }
