// Package updatetest checks an engine against the promises of package update:
// RunJournal those of update.Journal. Each case is named after the promise it
// checks. Those of lease.Locker are in lease/leasetest.
//
// Cases open fresh state, one after the other, each in a testing/synctest
// bubble, so that a lease of three minutes ends at once.
package updatetest

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// Harness describes the update.Journal under test.
type Harness struct {
	// Open returns a Journal over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) update.Journal
	// Again opens the state of first, which Open returned, once more, as
	// another process would, and cleans up with t.Cleanup. Without it, for an
	// engine whose state is its own, there are no cases of two handles.
	Again func(t testing.TB, first update.Journal) update.Journal
	// Retain is Open with a limit: keep at most this many events, or none
	// older than this; zero means the engine's default. Without it, for an
	// engine that keeps all events, there are no cases of ErrCompacted.
	Retain func(t testing.TB, events int, age time.Duration) update.Journal
	// Locker returns the Locker over the state of j, which Open returned.
	// Without it, for an engine that has none, there are no cases of leases.
	Locker func(t testing.TB, j update.Journal) lease.Locker
	// Damage makes what is kept of a run, and of its events, unreadable, behind
	// the back of a journal that Open returned. Without it, for an engine whose
	// state nothing else can reach, there is no case of damage.
	Damage func(t testing.TB, j update.Journal, run string)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, for short times.
	RealTime bool
}

// RunJournal checks that an engine keeps every promise of update.Journal.
func RunJournal(t *testing.T, h Harness) { suitetest.Run(t, h.RealTime, h.cases()) }
