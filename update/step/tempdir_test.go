package step_test

import "github.com/upkeep-go/upkeep/internal/tempdirtest"

func init() { tempdirtest.InMemory() }
