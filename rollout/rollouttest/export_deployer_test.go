package rollouttest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunDeployer.
func (h DeployerHarness) Cases() []suitetest.Case { return h.cases() }
