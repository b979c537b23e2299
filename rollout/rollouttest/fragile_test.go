package rollouttest_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// fragile is a store whose records can be damaged, and can have members of a
// newer library, and which notices. It is careless in one way.
type fragile struct {
	rollout.RunStore
	careless string
	runs     map[string]bool            // that are damaged
	services map[rollout.ServiceID]bool // that are damaged
	newer    bool                       // there are members of a newer library
}

// The ways to be careless.
const (
	readsDamaged   = "returns what it cannot read"
	listsDamaged   = "lists what it cannot read as if it could"
	stopsAtRun     = "stops its list at what it cannot read"
	stopsAtEvent   = "stops its feed at what it cannot read"
	readsService   = "returns a service that it cannot read"
	hidesService   = "leaves out a service that it cannot read"
	forgetsUnknown = "forgets what it does not know"
	showsUnknown   = "shows what it does not know"
)

func fault(what any) error { return fmt.Errorf("%w: %q", rollout.ErrCorrupt, what) }

// Save implements rollout.RunStore.
func (f *fragile) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if f.careless == forgetsUnknown {
		f.newer = false
	}
	return f.RunStore.Save(ctx, t)
}

// Get implements rollout.RunStore.
func (f *fragile) Get(ctx context.Context, id string) (rollout.Run, error) {
	if f.runs[id] && f.careless != readsDamaged {
		return rollout.Run{}, fault(id)
	}
	r, err := f.RunStore.Get(ctx, id)
	if f.newer && f.careless == showsUnknown {
		r.Spec.Extra["newer"] = "1"
	}
	return r, err
}

// History implements rollout.RunStore.
func (f *fragile) History(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
	return func(yield func(rollout.Run, error) bool) {
		for r, err := range f.RunStore.History(ctx, q) {
			if f.runs[r.ID] && f.careless != listsDamaged {
				r, err = rollout.Run{ID: r.ID, Service: r.Service}, fault(r.ID)
			}
			if !yield(r, err) || err != nil && f.careless == stopsAtRun {
				return
			}
		}
	}
}

// Service implements rollout.RunStore.
func (f *fragile) Service(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
	if f.services[id] && f.careless != readsService {
		return rollout.Service{}, fault(id)
	}
	return f.RunStore.Service(ctx, id)
}

// Services implements rollout.RunStore.
func (f *fragile) Services(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
	return func(yield func(rollout.Service, error) bool) {
		for s, err := range f.RunStore.Services(ctx, q) {
			if f.services[s.ID] {
				if f.careless == hidesService {
					continue
				}
				s, err = rollout.Service{ID: s.ID}, fault(s.ID)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// Watch implements rollout.RunStore.
func (f *fragile) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return func(yield func(rollout.Event, error) bool) {
		for e, err := range f.RunStore.Watch(ctx, after) {
			if f.runs[e.Run] {
				if f.careless == stopsAtEvent {
					yield(rollout.Event{}, fault(e.Run))
					return
				}
				e = rollout.Event{Seq: e.Seq, Time: e.Time, Run: e.Run, Kind: rollout.EventCorrupt}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func fragileHarness(careless string) rollouttest.StoreHarness {
	return rollouttest.StoreHarness{
		Open: func(testing.TB) rollout.RunStore {
			return &fragile{memory.New().Rollouts(), careless, map[string]bool{}, map[rollout.ServiceID]bool{}, false}
		},
		Damage: func(_ testing.TB, s rollout.RunStore, run string, service rollout.ServiceID) {
			s.(*fragile).runs[run], s.(*fragile).services[service] = run != "", run == ""
		},
		Newer: func(t testing.TB, s rollout.RunStore, _ string, _ rollout.ServiceID) func() {
			s.(*fragile).newer = true
			return func() { require.True(t, s.(*fragile).newer) }
		},
	}
}

func TestAStoreThatNoticesDamageKeepsItsPromises(t *testing.T) {
	rollouttest.RunStore(t, fragileHarness("in no way"))
}

// fragileMutants are what the cases of damage and of newer libraries must catch.
func fragileMutants() (mutants []provetest.Mutant) {
	const run, service = "a run that cannot be read is named, and the others are listed", "a service that cannot be read is named, and the others are listed"
	const newer = "what a newer library has written survives a save"
	for careless, caught := range map[string]string{
		readsDamaged: run, listsDamaged: run, stopsAtRun: run, stopsAtEvent: run, readsService: service, hidesService: service,
		forgetsUnknown: newer, showsUnknown: newer,
	} {
		mutants = append(mutants, provetest.Mutant{What: careless, Caught: caught, Cases: fragileHarness(careless).Cases()})
	}
	return mutants
}
