// Package storagetest checks a full engine: every suite of every domain on its
// stores, and what the engine promises as a whole. Faulty breaks an engine's
// calls, for tests of what works above it.
//
// Read storagetest.go and store.go, which has what is known of each store, then
// closing.go, which has the promises of storage.Backend. within.go and schema.go
// are for engines in the database of an application and for those with tables,
// faulty.go has the engine that fails. What is of one domain is in the files of
// its name.
package storagetest

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
)

// stores are those of a storage.Backend: a domain adds its own here.
var stores = []store{
	lockerStore,   // of lease
	journalStore,  // of update
	versionsStore, // of lv
	deviceStore,   // of firmware
	rolloutStore,  // of rollout
	instanceStore, // of rollout, too
	folderStore,   // of sync
	remoteStore,   // of sync, too
}

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
	// Damage changes tables behind the engine's back, with a statement of SQL that
	// must change a row; its parameters are written ?. Without it, for an engine
	// whose state is its own, there are no cases of damage.
	Damage func(t testing.TB, b storage.Backend, statement string, args ...any)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suites then wait for real, with short leases.
	RealTime bool
	// Histories is that of lvtest.Harness: fewer for an engine that is slow.
	Histories int
}

// Run checks that an engine keeps every promise of storage.Backend and of the
// interfaces of its stores.
func Run(t *testing.T, h Harness) {
	suitetest.Run(t, h.RealTime, h.cases())
	for _, s := range stores {
		s.run(t, h)
	}
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

// harnessOf is the harness of one of the engine's stores. The function returns
// the engine of the case that runs.
func harnessOf[S any](h Harness, of func(storage.Backend) S) (suitetest.Harness[S], func() storage.Backend) {
	var first storage.Backend
	u := suitetest.Harness[S]{
		Open: func(t testing.TB) S {
			first = h.open(t)
			return of(first)
		},
		RealTime: h.RealTime,
	}
	if h.Again != nil {
		u.Again = func(t testing.TB, _ S) S { return of(closing(t, h.Again(t, first))) }
	}
	if h.Retain != nil {
		u.Retain = func(t testing.TB, events int, age time.Duration) S {
			return of(closing(t, h.Retain(t, storage.Retention{Events: events, Age: age})))
		}
	}
	return u, func() storage.Backend { return first }
}
