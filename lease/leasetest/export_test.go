package leasetest

import "github.com/upkeep-go/upkeep/internal/suite"

// Cases returns the cases of RunLocker.
func (h Harness) Cases() []suite.Case { return h.cases() }
