package rollouttest

import (
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// StoreHarness describes the rollout.RunStore under test.
type StoreHarness struct {
	// Open returns a store over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) rollout.RunStore
	// Again opens the state of first, which Open returned, once more, as
	// another process would, and cleans up with t.Cleanup. Without it, for an
	// engine whose state is its own, there are no cases of two handles.
	Again func(t testing.TB, first rollout.RunStore) rollout.RunStore
	// Retain is Open with a limit: keep at most this many events, or none older
	// than this; zero means the engine's default. Without it, for an engine that
	// keeps all events, there are no cases of ErrCompacted.
	Retain func(t testing.TB, events int, age time.Duration) rollout.RunStore
	// Damage makes a run and its events unreadable or, where run is "", the
	// record of a service, behind the back of a store that Open returned. Without
	// it, for an engine whose state nothing else can reach, there are no cases of
	// damage.
	Damage func(t testing.TB, s rollout.RunStore, run string, service rollout.ServiceID)
	// Newer adds members, as a newer library would, to the records of a run and of
	// a service and to what they hold. The function that it returns checks that
	// they are there. Without it, for an engine whose state no other library
	// writes, there is no such case.
	Newer func(t testing.TB, s rollout.RunStore, run string, service rollout.ServiceID) (kept func())
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, for short times.
	RealTime bool
}

// RunStore checks that an engine keeps every promise of rollout.RunStore.
func RunStore(t *testing.T, h StoreHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

// InstanceHarness describes the rollout.InstanceStores under test.
type InstanceHarness struct {
	// Open returns what makes the stores of hosts, over fresh state, and cleans up
	// with t.Cleanup.
	Open func(t testing.TB) Hosts
	// Again opens the state of first once more, as that of a StoreHarness does.
	Again func(t testing.TB, first Hosts) Hosts
	// Damage makes what is kept of an instance unreadable, as that of a
	// StoreHarness does.
	Damage func(t testing.TB, h Hosts, host, id string)
	// RealTime is set by engines whose clock testing/synctest cannot fake.
	RealTime bool
}

// Hosts makes the stores of hosts.
type Hosts interface {
	Instances(host string) rollout.InstanceStore
}

// RunInstances checks that an engine keeps every promise of
// rollout.InstanceStore.
func RunInstances(t *testing.T, h InstanceHarness) { suitetest.Run(t, h.RealTime, h.cases()) }
