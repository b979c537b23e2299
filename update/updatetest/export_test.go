package updatetest

import "github.com/upkeep-go/upkeep/internal/suite"

// Cases returns the cases of RunJournal.
func (h Harness) Cases() []suite.Case { return h.cases() }
