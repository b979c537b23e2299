// Package updatetest checks an engine against the promises of package update:
// RunLocker those of update.Locker, RunJournal those of update.Journal. Each
// case is named after the promise it checks.
//
// Cases open fresh state, one after the other, each in a testing/synctest
// bubble, so that a lease of three minutes ends at once.
package updatetest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// LockerHarness describes the update.Locker under test.
type LockerHarness struct {
	// Open returns a Locker over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) update.Locker
	// Again opens the state of first, which Open returned, once more, as
	// another process would, and cleans up with t.Cleanup. Without it, for an
	// engine whose state is its own, there are no cases of two handles.
	Again func(t testing.TB, first update.Locker) update.Locker
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, with short leases.
	RealTime bool
}

// JournalHarness describes the update.Journal under test.
type JournalHarness struct {
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
	Locker func(t testing.TB, j update.Journal) update.Locker
	// Damage makes what is kept of a run, and of its events, unreadable, behind
	// the back of a journal that Open returned. Without it, for an engine whose
	// state nothing else can reach, there is no case of damage.
	Damage func(t testing.TB, j update.Journal, run string)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, for short times.
	RealTime bool
}

// RunLocker checks that an engine keeps every promise of update.Locker.
func RunLocker(t *testing.T, h LockerHarness) {
	for _, c := range h.cases() {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, h.RealTime, func(t *testing.T) { c.run(h.start(t)) })
		})
	}
}

// RunJournal checks that an engine keeps every promise of update.Journal.
func RunJournal(t *testing.T, h JournalHarness) {
	for _, c := range h.cases() {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, h.RealTime, func(t *testing.T) { c.run(h.start(t)) })
		})
	}
}

// bubble runs f where time is fake, unless it must be real.
func bubble(t *testing.T, realTime bool, f func(*testing.T)) {
	if realTime {
		f(t)
	} else {
		synctest.Test(t, f)
	}
}
