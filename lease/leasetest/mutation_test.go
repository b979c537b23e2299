package leasetest_test

import (
	"slices"
	"testing"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of the suite is
// named by a mutant.

// mutant breaks one promise of lease.Locker.
type mutant struct {
	what   string // it does
	caught string // by this case
	wrap   func(lease.Locker) lease.Locker
	again  func(first lease.Locker) lease.Locker // default: the same Locker
}

func TestEveryCaseOfRunLockerCatchesABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	for _, m := range slices.Concat(leaseMutants, tokenMutants, callMutants, nameMutants) {
		mutants = append(mutants, provetest.Mutant{What: m.what, Caught: m.caught, Cases: harness(m).Cases()})
	}
	provetest.Prove(t, mutants)
}

func harness(m mutant) leasetest.Harness {
	return leasetest.Harness{
		Open: func(testing.TB) lease.Locker {
			l := memory.New().Locker()
			if m.wrap == nil {
				return l
			}
			return m.wrap(l)
		},
		Again: func(_ testing.TB, first lease.Locker) lease.Locker {
			if m.again == nil {
				return first
			}
			return m.again(first)
		},
	}
}
