package lvtest

import (
	"testing"

	"github.com/upkeep-go/upkeep/internal/provetest"
)

// Cases returns the cases of RunVersionStore, and what it does after and
// besides them.
func (h Harness) Cases() (cases []provetest.Case) {
	for _, c := range h.cases() {
		cases = append(cases, provetest.Case{Name: c.name, Run: func(t testing.TB) { c.run(h.start(t)) }})
	}
	return append(cases,
		provetest.Case{Name: "what a store says of its tables agrees with itself", Run: func(t testing.TB) {
			st := h.start(t)
			consistent(st)
			requireConsistent(t, st.VersionStore)
		}},
		provetest.Case{Name: historiesAgree, Run: h.histories},
	)
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
func (h Harness) ServiceCases() (cases []provetest.Case) {
	for _, c := range serviceCases {
		cases = append(cases, provetest.Case{Name: c.name, Run: func(t testing.TB) { c.run(h.startServices(t)) }})
	}
	return append(cases, provetest.Case{Name: servicesAgree, Run: h.overServices().histories})
}
