// Package storagetest checks a full engine: every suite of every domain on its
// stores, and what the engine promises as a whole. Faulty breaks an engine's
// calls, for tests of what works above it.
//
// Read storagetest.go, then closing.go and reopening.go, which have the promises
// of storage.Backend. within.go and schema.go are for engines in the database of
// an application and for those with tables; fleet.go has many processes at once,
// faulty.go the engine that fails.
package storagetest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

// Harness describes the engine under test.
type Harness struct {
	// Open returns an engine over fresh state. The suite closes it.
	Open func(t testing.TB) storage.Backend
	// Again opens the state of first, which Open returned and which may be
	// closed by now, once more, as another process would. The suite closes
	// it. Without it, for an engine whose state is its own, there are no
	// cases of reopening and of two handles.
	Again func(t testing.TB, first storage.Backend) storage.Backend
	// Retain is Open with a limit on the events that are kept. Without it, for
	// an engine that keeps all, there are no cases of compaction.
	Retain func(t testing.TB, r storage.Retention) storage.Backend
	// DamageVersion puts another content, or none, into the place of that of a
	// version of rows, behind the engine's back, and DamageRun makes what is
	// kept of a run and of its events unreadable. Without them, for an engine
	// whose state is its own, there are no cases of damage.
	DamageVersion func(t testing.TB, b storage.Backend, version int64, content []byte)
	DamageRun     func(t testing.TB, b storage.Backend, run string)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suites then wait for real, with short leases.
	RealTime bool
	// Histories is that of lvtest.Harness: fewer for an engine that is slow.
	Histories int
}

// Run checks that an engine keeps every promise of storage.Backend and of the
// interfaces of its stores.
func Run(t *testing.T, h Harness) {
	for _, c := range h.cases() {
		t.Run(c.name, func(t *testing.T) {
			if h.RealTime {
				c.run(t, h)
			} else {
				synctest.Test(t, func(t *testing.T) { c.run(t, h) })
			}
		})
	}
	t.Run("Locker", func(t *testing.T) { leasetest.RunLocker(t, h.locker()) })
	t.Run("Journal", func(t *testing.T) { updatetest.RunJournal(t, h.journal()) })
	t.Run("Versions", func(t *testing.T) { lvtest.RunVersionStore(t, h.versions()) })
	t.Run("Service", func(t *testing.T) { lvtest.RunService(t, h.versions()) })
}

// open returns a fresh engine that is closed when the test ends.
func (h Harness) open(t testing.TB) storage.Backend { return closing(t, h.Open(t)) }

func closing(t testing.TB, b storage.Backend) storage.Backend {
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return b
}

func (h Harness) locker() leasetest.Harness {
	var first storage.Backend // of the case that runs
	u := leasetest.Harness{
		Open: func(t testing.TB) lease.Locker {
			first = h.open(t)
			return first.Locker()
		},
		RealTime: h.RealTime,
	}
	if h.Again != nil {
		u.Again = func(t testing.TB, _ lease.Locker) lease.Locker {
			return closing(t, h.Again(t, first)).Locker()
		}
	}
	return u
}

func (h Harness) journal() updatetest.Harness {
	var first storage.Backend // of the case that runs
	u := updatetest.Harness{
		Open: func(t testing.TB) update.Journal {
			first = h.open(t)
			return first.Journal()
		},
		Locker:   func(testing.TB, update.Journal) lease.Locker { return first.Locker() },
		RealTime: h.RealTime,
	}
	if h.Again != nil {
		u.Again = func(t testing.TB, _ update.Journal) update.Journal {
			return closing(t, h.Again(t, first)).Journal()
		}
	}
	if h.DamageRun != nil {
		u.Damage = func(t testing.TB, _ update.Journal, run string) { h.DamageRun(t, first, run) }
	}
	if h.Retain != nil {
		u.Retain = func(t testing.TB, events int, age time.Duration) update.Journal {
			return closing(t, h.Retain(t, storage.Retention{Events: events, Age: age})).Journal()
		}
	}
	return u
}

func (h Harness) versions() lvtest.Harness {
	var first storage.Backend // of the case that runs
	u := lvtest.Harness{
		Open: func(t testing.TB) lv.VersionStore {
			first = h.open(t)
			return first.Versions()
		},
		RealTime:  h.RealTime,
		Histories: h.Histories,
	}
	if h.Again != nil {
		u.Again = func(t testing.TB, _ lv.VersionStore) lv.VersionStore {
			return closing(t, h.Again(t, first)).Versions()
		}
	}
	if h.DamageVersion != nil {
		u.Damage = func(t testing.TB, _ lv.VersionStore, v lv.VersionID, content []byte) {
			h.DamageVersion(t, first, int64(v), content)
		}
	}
	if h.Retain != nil {
		u.Retain = func(t testing.TB, events int, age time.Duration) lv.VersionStore {
			return closing(t, h.Retain(t, storage.Retention{Events: events, Age: age})).Versions()
		}
	}
	return u
}
