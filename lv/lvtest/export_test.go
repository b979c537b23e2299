package lvtest

import (
	"testing"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

func nothing(testing.TB, lv.VersionStore) {}

// Cases returns the cases of RunVersionStore, and what it does after them.
func (h Harness) Cases() []suitetest.Case {
	return append(h.cases(nothing), suitetest.Case{Name: "what a store says of its tables agrees with itself", Run: func(t testing.TB) {
		st := h.start(t)
		consistent(st)
		requireConsistent(t, st.VersionStore)
	}})
}

// consistent leaves a little of everything.
func consistent(t *storeTest) {
	t.write(saving("a", "1"), saving("b", "1"), saving("c", "1"), saving("d", "1"))
	t.publish("", "a", "b", "c")
	t.publish(green, "a")
	t.write(saving("a", "2"), saving("b", "2"), deleting("c"))
	t.publish(green, "b", "c")
	t.publish(blue, "d")
	t.write(saving("b", "1"))
}

// ServiceCases returns the cases of RunService.
func (h Harness) ServiceCases() []suitetest.Case { return h.serviceCases(nothing) }
