package storagetest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of Run that are not of a domain's suite.
func (h Harness) Cases() []suitetest.Case { return h.cases() }
