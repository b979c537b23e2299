package updatetest_test

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

func TestLockerOnMemory(t *testing.T) {
	updatetest.RunLocker(t, updatetest.LockerHarness{
		Open:  func(testing.TB) update.Locker { return memory.New().Locker() },
		Again: func(_ testing.TB, first update.Locker) update.Locker { return first },
	})
}

func TestJournalOnMemory(t *testing.T) {
	updatetest.RunJournal(t, updatetest.JournalHarness{
		Open:  func(testing.TB) update.Journal { return memory.New().Journal() },
		Again: func(_ testing.TB, first update.Journal) update.Journal { return first },
		Retain: func(_ testing.TB, events int, age time.Duration) update.Journal {
			db := memory.New()
			db.Retention = storage.Retention{Events: events, Age: age}
			return db.Journal()
		},
	})
}
