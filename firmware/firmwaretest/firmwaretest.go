// Package firmwaretest checks an engine against the promises of package
// firmware: RunStore those of firmware.DeviceStore, RunSlots those of
// firmware.Slots, RunBoot those of slot.Boot. Each case is named after the
// promise it checks. Those of lease.Locker are in lease/leasetest.
//
// Cases open fresh state, one after the other, each in a testing/synctest
// bubble.
package firmwaretest

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// Harness describes the firmware.Store under test.
type Harness struct {
	// Open returns a Store over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) firmware.Store
	// Again opens the state of first, which Open returned, once more, as
	// another process would, and cleans up with t.Cleanup. Without it, for an
	// engine whose state is its own, there are no cases of two handles.
	Again func(t testing.TB, first firmware.Store) firmware.Store
	// Retain is Open with a limit: keep at most this many events of a device, or
	// none older than this; zero means the engine's default. Without it, for an
	// engine that keeps all events, there are no cases of ErrCompacted.
	Retain func(t testing.TB, events int, age time.Duration) firmware.Store
	// Damage makes what is kept of a device unreadable, behind the back of a
	// Store that Open returned: a run and its events or, where run is "", the
	// record. Without it, for an engine whose state nothing else can reach, there
	// are no cases of damage.
	Damage func(t testing.TB, s firmware.Store, device, run string)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, for short times.
	RealTime bool
}

// RunStore checks that an engine keeps every promise of firmware.DeviceStore.
func RunStore(t *testing.T, h Harness) { suitetest.Run(t, h.RealTime, h.cases()) }
