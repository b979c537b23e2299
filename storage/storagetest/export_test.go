package storagetest

import "github.com/upkeep-go/upkeep/internal/suite"

// Cases returns the cases of Run that are not of a domain's suite.
func (h Harness) Cases() []suite.Case { return h.cases() }
