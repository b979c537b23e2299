package lvtest_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of the suite is
// named by a mutant.

// mutant breaks one promise of lv.VersionStore.
type mutant = provetest.Broken[lv.VersionStore]

func TestMain(m *testing.M) { os.Exit(proctest.Run(m)) }

func TestEveryCaseCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case { return harness(m).Cases() }
	sound := append(cases(mutant{}), carelessHarness("in no way").Cases()...)
	provetest.Prove(t, sound, append(provetest.Of(all(), cases), fragileMutants()...))
}

func TestRandomHistoriesCatchABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case {
		h := harness(m)
		h.Histories = 300
		return slices.DeleteFunc(h.Cases(), func(c suitetest.Case) bool { return c.Name != histories })
	}
	noted := slices.DeleteFunc(all(), func(m mutant) bool { return m.Unnoted })
	for i := range noted {
		noted[i].Caught = histories
	}
	provetest.Prove(t, harness(mutant{}).Cases(), provetest.Of(noted, cases))
}

func TestAHistoryThatFailsNamesItsSeedAndIsShrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := harness(mutant{Wrap: afterWrite(publishes(lv.OpDelete))})
		h.Histories = 300
		cases := h.Cases()
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() { // which FailNow ends
			defer close(done)
			cases[slices.IndexFunc(cases, func(c suitetest.Case) bool { return c.Name == histories })].Run(r)
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
	return slices.Concat(writeMutants, releaseMutants, deletionMutants, planMutants, rowsMutants, historyMutants, lookupMutants, forgetMutants,
		strategyMutants, callMutants, manyMutants, watchMutants, consistencyMutants, feed.Broken())
}

func harness(m mutant) lvtest.Harness {
	h := m.Harness(func(events int, age time.Duration) lv.VersionStore {
		return memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}}).Versions()
	})
	return lvtest.Harness{Open: h.Open, Again: h.Again, Retain: h.Retain, Histories: 30}
}
