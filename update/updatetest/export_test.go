package updatetest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunJournal.
func (h Harness) Cases() []suitetest.Case { return h.cases() }
