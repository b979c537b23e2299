package lvtest_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of the suite is
// named by a mutant.

// mutant breaks one promise of lv.VersionStore.
type mutant struct {
	what    string // it does
	caught  string // by this case
	wrap    breaking
	again   func(first lv.VersionStore) lv.VersionStore // default: the same store
	retain  func(*storage.Retention)                    // default: as asked
	unnoted bool                                        // by random histories

	careless string // with what is damaged
}

func TestEveryCaseCatchesABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	for _, m := range all() {
		mutants = append(mutants, provetest.Mutant{What: m.what + m.careless, Caught: m.caught, Cases: harness(m).Cases()})
	}
	provetest.Prove(t, mutants)
}

func TestRandomHistoriesCatchABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	for _, m := range all() {
		if !m.unnoted && m.careless == "" {
			h := harness(m)
			h.Histories = 300
			cases := slices.DeleteFunc(h.Cases(), func(c provetest.Case) bool { return c.Name != histories })
			mutants = append(mutants, provetest.Mutant{What: m.what, Caught: histories, Cases: cases})
		}
	}
	provetest.Prove(t, mutants)
}

func TestAHistoryThatFailsNamesItsSeedAndIsShrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := harness(mutant{wrap: afterWrite(publishes(lv.OpDelete))})
		h.Histories = 300
		cases := h.Cases()
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() { // which FailNow ends
			defer close(done)
			cases[slices.IndexFunc(cases, func(c provetest.Case) bool { return c.Name == histories })].Run(r)
		}()
		<-done
		require.Regexp(t, `the history of seed \d+ fails; in [1-3] steps:`, r.why)
	})
}

// recorder is a test whose failure is kept.
type recorder struct {
	testing.TB
	why string
}

// Errorf keeps a failure.
func (r *recorder) Errorf(format string, args ...any) { r.why += fmt.Sprintf(format, args...) }

// FailNow ends the test.
func (r *recorder) FailNow() { runtime.Goexit() }

// all returns all mutants.
func all() []mutant {
	return slices.Concat(writeMutants, releaseMutants, planMutants, rowsMutants, historyMutants, lookupMutants, forgetMutants,
		strategyMutants, callMutants, manyMutants, watchMutants, consistencyMutants, fragileMutants)
}

func harness(m mutant) lvtest.Harness {
	open := func(r storage.Retention) lv.VersionStore {
		db := memory.Open(memory.Config{Retention: r})
		if m.wrap == nil {
			return db.Versions()
		}
		return m.wrap(db.Versions())
	}
	if m.careless != "" {
		return carelessHarness(m.careless)
	}
	return lvtest.Harness{
		Open: func(testing.TB) lv.VersionStore { return open(storage.Retention{}) },
		Again: func(_ testing.TB, first lv.VersionStore) lv.VersionStore {
			if m.again == nil {
				return first
			}
			return m.again(first)
		},
		Retain: func(_ testing.TB, events int, age time.Duration) lv.VersionStore {
			r := storage.Retention{Events: events, Age: age}
			if m.retain != nil {
				m.retain(&r)
			}
			return open(r)
		},
		Histories: 30,
	}
}
