package leasetest

import (
	"testing"

	"github.com/upkeep-go/upkeep/internal/provetest"
)

// Cases returns the cases of RunLocker.
func (h Harness) Cases() (cases []provetest.Case) {
	for _, c := range h.cases() {
		cases = append(cases, provetest.Case{Name: c.name, Run: func(t testing.TB) { c.run(h.start(t)) }})
	}
	return cases
}
