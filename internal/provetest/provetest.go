// Package provetest proves suites: it tells whether a case fails on an engine
// that is broken on purpose.
package provetest

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Case is a case of a suite, on some engine.
type Case struct {
	Name string
	Run  func(testing.TB)
}

// Mutant is an engine that is broken on purpose.
type Mutant struct {
	What   string // it does
	Caught string // by the case of this name
	Cases  []Case // the suite on this engine
}

// Prove checks that each mutant is caught by the case it names, and that each
// case of the suite is named by a mutant.
func Prove(t *testing.T, mutants []Mutant) {
	uncaught := make(map[string]bool)
	for _, m := range mutants {
		for _, c := range m.Cases {
			uncaught[c.Name] = true
		}
	}
	for _, m := range mutants {
		delete(uncaught, m.Caught)
		t.Run(m.What, func(t *testing.T) {
			for _, c := range m.Cases {
				if c.Name == m.Caught {
					require.True(t, fails(t, c.Run), "%q does not catch it", c.Name)
					return
				}
			}
			require.Fail(t, "no such case", m.Caught)
		})
	}
	require.Empty(t, uncaught, "cases that no mutant has shown to fail")
}

// fails reports whether a case fails, in a bubble of its own.
func fails(t *testing.T, run func(testing.TB)) bool {
	r := new(recorder)
	synctest.Test(t, func(t *testing.T) {
		r.TB = t
		done := make(chan struct{})
		go func() { // which FailNow may end
			defer close(done)
			run(r)
		}()
		<-done
		time.Sleep(24 * time.Hour) // for what a broken engine does too late
	})
	return r.failed.Load()
}

// recorder is a test whose failure is only noted.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

// Errorf notes a failure.
func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }

// FailNow notes a failure and ends the case.
func (r *recorder) FailNow() {
	r.failed.Store(true)
	runtime.Goexit()
}
