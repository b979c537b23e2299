package rollouttest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunStore.
func (h StoreHarness) Cases() []suitetest.Case { return h.cases() }

// Cases returns the cases of RunInstances.
func (h InstanceHarness) Cases() []suitetest.Case { return h.cases() }
