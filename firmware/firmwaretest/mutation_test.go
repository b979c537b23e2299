package firmwaretest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of a suite is
// named by a mutant.

// mutant breaks one promise of firmware.DeviceStore.
type mutant = provetest.Broken[firmware.Store]

func TestEveryCaseOfRunStoreCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case { return harness(m).Cases() }
	all := slices.Concat(recordMutants, copyMutants, runMutants, historyMutants, watchMutants, feed.Broken())
	sound := append(cases(mutant{}), fragileHarness("in no way").Cases()...)
	provetest.Prove(t, sound, append(provetest.Of(all, cases), fragileMutants()...))
}

func harness(m mutant) firmwaretest.Harness {
	h := m.Harness(func(events int, age time.Duration) firmware.Store {
		return memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}})
	})
	return firmwaretest.Harness{Open: h.Open, Again: h.Again, Retain: h.Retain}
}

func TestAStoreBehindAWrapperThatDoesNothingPasses(t *testing.T) {
	firmwaretest.RunStore(t, harness(mutant{Wrap: saving(func(d firmware.DeviceStore) saveFunc { return d.Save })}))
}
