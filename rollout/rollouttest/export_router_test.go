package rollouttest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunRouter.
func (h RouterHarness) Cases() []suitetest.Case { return h.cases() }
