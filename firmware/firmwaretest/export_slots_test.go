package firmwaretest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunSlots.
func (h SlotsHarness) Cases() []suitetest.Case { return h.cases() }

// Cases returns the cases of RunBoot.
func (h BootHarness) Cases() []suitetest.Case { return h.cases() }
