package storagetest

import (
	"testing"

	"github.com/upkeep-go/upkeep/internal/suite"
)

// Cases returns the cases of Run that are not of a domain's suite.
func (h Harness) Cases() (cases []suite.Case) {
	for _, c := range h.cases() {
		cases = append(cases, suite.Case{Name: c.name, Run: func(t testing.TB) { c.run(t, h) }})
	}
	return cases
}
