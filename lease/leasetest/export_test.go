package leasetest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunLocker.
func (h Harness) Cases() []suitetest.Case { return h.cases() }
