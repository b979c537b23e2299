package updatetest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of a suite is
// named by a mutant.

// journalMutant breaks one promise of update.Journal.
type journalMutant struct {
	what   string // it does
	caught string // by this case
	wrap   func(update.Journal) update.Journal
	again  func(first update.Journal) update.Journal // default: the same Journal
	retain func(*storage.Retention)                  // default: as asked
	leases func(j update.Journal, l lease.Locker) update.Journal
}

func TestEveryCaseOfRunJournalCatchesABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	for _, m := range slices.Concat(createMutants, saveMutants, leaseEndMutants, historyMutants, watchMutants) {
		mutants = append(mutants, provetest.Mutant{What: m.what, Caught: m.caught, Cases: journalHarness(m).Cases()})
	}
	provetest.Prove(t, append(mutants, fragileMutants()...))
}

func journalHarness(m journalMutant) updatetest.JournalHarness {
	var db *memory.DB // of the case that runs
	open := func(r storage.Retention) update.Journal {
		db = memory.Open(memory.Config{Retention: r})
		switch {
		case m.leases != nil:
			return m.leases(db.Journal(), db.Locker())
		case m.wrap != nil:
			return m.wrap(db.Journal())
		}
		return db.Journal()
	}
	return updatetest.JournalHarness{
		Open:   func(testing.TB) update.Journal { return open(storage.Retention{}) },
		Locker: func(testing.TB, update.Journal) lease.Locker { return db.Locker() },
		Again: func(_ testing.TB, first update.Journal) update.Journal {
			if m.again == nil {
				return first
			}
			return m.again(first)
		},
		Retain: func(_ testing.TB, events int, age time.Duration) update.Journal {
			r := storage.Retention{Events: events, Age: age}
			if m.retain != nil {
				m.retain(&r)
			}
			return open(r)
		},
	}
}
