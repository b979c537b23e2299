package suitetest

import (
	"testing"
	"testing/synctest"
	"time"
)

// Case is a promise, in words, and its check on some engine.
type Case struct {
	Name string
	Run  func(testing.TB)
}

// On makes cases of promises whose check needs a T: each case gets one of its
// own.
func On[T any, C ~struct {
	Name string
	Run  func(T)
}](start func(testing.TB) T, promises []C) (cases []Case) {
	for _, p := range promises {
		one := struct {
			Name string
			Run  func(T)
		}(p)
		cases = append(cases, Case{one.Name, func(t testing.TB) { one.Run(start(t)) }})
	}
	return cases
}

// Run runs each case, in a Bubble.
func Run(t *testing.T, realTime bool, cases []Case) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			Bubble(t, realTime, func(t *testing.T) { c.Run(t) })
		})
	}
}

// Bubble runs f where time is fake, unless it must be real.
func Bubble(t *testing.T, realTime bool, f func(*testing.T)) {
	if realTime {
		f(t)
	} else {
		synctest.Test(t, f)
	}
}

// Harness is what the harnesses of the domains have in common: the stores of an
// engine. What a domain's harness says of each field holds.
type Harness[S any] struct {
	Open     func(t testing.TB) S
	Again    func(t testing.TB, first S) S
	Retain   func(t testing.TB, events int, age time.Duration) S
	RealTime bool
}
