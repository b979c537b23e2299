// Package lvtest checks an engine against the promises of package lv:
// RunVersionStore those of lv.VersionStore, RunService those of lv.Service over
// it. Each case is named after the promise it checks. Random histories are
// compared with a model after every step.
//
// Cases open fresh state, one after the other, each in a testing/synctest
// bubble. After each, every row's status is computed anew from what the public
// reads say.
package lvtest

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

// Harness describes the lv.VersionStore under test.
type Harness struct {
	// Open returns a store over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) lv.VersionStore
	// Again opens the state of first, which Open returned, once more, as
	// another process would, and cleans up with t.Cleanup. Without it, for an
	// engine whose state is its own, there are no cases of two handles.
	Again func(t testing.TB, first lv.VersionStore) lv.VersionStore
	// Retain is Open with a limit: keep at most this many events, or none
	// older than this; zero means the engine's default. Without it, for an
	// engine that keeps all events, there are no cases of ErrCompacted.
	Retain func(t testing.TB, events int, age time.Duration) lv.VersionStore
	// Damage puts another content, or none, into the place of that of a version,
	// behind the back of a store that Open returned. Without it, for an engine
	// whose state nothing else can reach, there are no cases of damage.
	Damage func(t testing.TB, s lv.VersionStore, v lv.VersionID, content []byte)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, for short times.
	RealTime bool
	// Histories is how many random histories are compared with the model when
	// UPKEEP_FULL=1: those of the seeds from 0, the same on every engine.
	// Default 10,000. Otherwise it is 300 at most.
	Histories int
}

const historiesAgree = "random histories agree with the model"

// RunVersionStore checks that an engine keeps every promise of
// lv.VersionStore.
func RunVersionStore(t *testing.T, h Harness) {
	suitetest.Run(t, h.RealTime, h.cases(requireConsistent))
}
