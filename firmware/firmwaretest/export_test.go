package firmwaretest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunStore.
func (h Harness) Cases() []suitetest.Case { return h.cases() }
