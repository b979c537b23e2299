// Package provetest proves suites: it tells whether a case fails on an engine
// that is broken on purpose, and passes on one that is not. broken.go has how to
// break the stores of a domain, feed.go what breaks every Watch.
package provetest

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// Mutant is an engine that is broken on purpose.
type Mutant struct {
	What   string           // it does
	Caught string           // by the case of this name
	Cases  []suitetest.Case // the suite on this engine

	together bool // with others at the same time
}

// Prove checks that each mutant is caught by the case it names, that the case
// passes on the sound engine, and that each case of the suite is named by a
// mutant. A mutant is caught by what a case requires: one that makes it panic is
// not.
func Prove(t *testing.T, sound []suitetest.Case, mutants []Mutant) {
	uncaught, named := make(map[string]bool), make(map[string]bool)
	for _, m := range mutants {
		for _, c := range m.Cases {
			uncaught[c.Name] = true
		}
	}
	for _, m := range mutants {
		delete(uncaught, m.Caught)
		named[m.Caught] = true
		t.Run(m.What, func(t *testing.T) {
			if m.together {
				t.Parallel()
			}
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
	t.Run("nothing", func(t *testing.T) {
		for _, c := range sound {
			require.False(t, named[c.Name] && fails(t, c.Run), "%q fails on what is not broken", c.Name)
			delete(named, c.Name)
		}
		require.Empty(t, named, "cases that the sound engine has not shown to pass")
	})
}

// fails reports whether a case fails, in a bubble of its own.
func fails(t *testing.T, run func(testing.TB)) bool {
	r := new(recorder)
	synctest.Test(t, func(t *testing.T) {
		r.TB = t
		done := make(chan struct{})
		go func() { // which FailNow may end
			defer close(done)
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("the case panics, in place of a failure: %v", p)
				}
			}()
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
