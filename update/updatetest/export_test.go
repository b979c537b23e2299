package updatetest

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Check is a case of a suite that tells whether an engine fails it.
type Check struct {
	Name   string
	Caught func(t *testing.T) bool
}

// Checks returns the cases of RunLocker.
func (h LockerHarness) Checks() []Check {
	var checks []Check
	for _, c := range h.cases() {
		checks = append(checks, Check{c.name, func(t *testing.T) bool {
			return caught(t, func(t testing.TB) { c.run(h.start(t)) })
		}})
	}
	return checks
}

// Checks returns the cases of RunJournal.
func (h JournalHarness) Checks() []Check {
	var checks []Check
	for _, c := range h.cases() {
		checks = append(checks, Check{c.name, func(t *testing.T) bool {
			return caught(t, func(t testing.TB) { c.run(h.start(t)) })
		}})
	}
	return checks
}

// caught reports whether run fails, without failing t.
func caught(t *testing.T, run func(testing.TB)) bool {
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
