package leasetest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of the suite is
// named by a mutant.

// mutant breaks one promise of lease.Locker.
type mutant = provetest.Broken[lease.Locker]

func TestEveryCaseOfRunLockerCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case { return harness(m).Cases() }
	all := slices.Concat(leaseMutants, tokenMutants, callMutants, nameMutants)
	provetest.Prove(t, cases(mutant{}), provetest.Of(all, cases))
}

func harness(m mutant) leasetest.Harness {
	h := m.Harness(func(int, time.Duration) lease.Locker { return memory.New().Locker() })
	return leasetest.Harness{Open: h.Open, Again: h.Again}
}
