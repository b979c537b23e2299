package updatetest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of a suite is
// named by a mutant.

// mutant breaks one promise of update.Journal.
type mutant = provetest.Broken[update.Journal]

func TestEveryCaseOfRunJournalCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case { return harness(m).Cases() }
	all := slices.Concat(createMutants, saveMutants, leaseEndMutants, historyMutants, watchMutants, feed.Broken())
	sound := append(cases(mutant{}), fragileHarness("in no way").Cases()...)
	provetest.Prove(t, sound, append(provetest.Of(all, cases), fragileMutants()...))
}

// lockable is a Journal with the Locker over its state.
type lockable struct {
	update.Journal
	locker lease.Locker
}

func harness(m mutant) updatetest.Harness {
	var db *memory.DB // of the case that runs
	h := m.Harness(func(events int, age time.Duration) update.Journal {
		db = memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}})
		return lockable{db.Journal(), db.Locker()}
	})
	return updatetest.Harness{
		Open: h.Open, Again: h.Again, Retain: h.Retain,
		Locker: func(testing.TB, update.Journal) lease.Locker { return db.Locker() },
	}
}
