package firmwaretest_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// feedOf is the Watch of a device with every event changed.
func feedOf(d firmware.DeviceStore, change func(*firmware.Event)) watchFunc {
	return func(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
		return provetest.Each(d.Watch(ctx, after), func(_ int, e *firmware.Event) bool { change(e); return true })
	}
}

// fragile is a device whose runs and record can be damaged, and which notices.
// It is careless in one way.
type fragile struct {
	firmware.DeviceStore
	careless string
	broken   map[string]bool
}

// The ways to be careless.
const (
	loadsDamaged  = "loads what it cannot read"
	loadsHalf     = "loads a record without its run"
	readsDamaged  = "returns what it cannot read"
	listsDamaged  = "lists what it cannot read as if it could"
	stopsAtRun    = "stops its list at what it cannot read"
	hidesRun      = "leaves out what it cannot read"
	stopsAtEvent  = "stops its feed at what it cannot read"
	repeatsEvents = "tells of what it cannot read"
	losesAll      = "has lost the runs with the record"
)

func fault(run string) error { return fmt.Errorf("%w: run %q", firmware.ErrCorrupt, run) }

// Load implements firmware.DeviceStore.
func (f *fragile) Load(ctx context.Context) (firmware.Record, error) {
	r, err := f.DeviceStore.Load(ctx)
	switch {
	case f.broken[""] && f.careless != loadsDamaged:
		return firmware.Record{}, fmt.Errorf("%w: the record", firmware.ErrCorrupt)
	case r.Run != nil && f.broken[r.Run.ID] && f.careless != loadsHalf:
		return firmware.Record{}, fault(r.Run.ID)
	}
	return r, err
}

// Get implements firmware.DeviceStore.
func (f *fragile) Get(ctx context.Context, id string) (firmware.Run, error) {
	if f.broken[id] && f.careless != readsDamaged || f.broken[""] && f.careless == losesAll {
		return firmware.Run{}, fault(id)
	}
	return f.DeviceStore.Get(ctx, id)
}

// History implements firmware.DeviceStore.
func (f *fragile) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	return func(yield func(firmware.Run, error) bool) {
		for run, err := range f.DeviceStore.History(ctx, q) {
			if f.broken[run.ID] && f.careless != listsDamaged {
				if f.careless == hidesRun {
					continue
				}
				run, err = firmware.Run{ID: run.ID}, fault(run.ID)
			}
			if !yield(run, err) || err != nil && f.careless == stopsAtRun {
				return
			}
		}
	}
}

// Watch implements firmware.DeviceStore.
func (f *fragile) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return func(yield func(firmware.Event, error) bool) {
		for e, err := range f.DeviceStore.Watch(ctx, after) {
			if f.broken[e.Run] && e.Run != "" && f.careless != repeatsEvents {
				e = firmware.Event{Seq: e.Seq, Time: e.Time, Run: e.Run, Kind: firmware.EventCorrupt}
				if f.careless == stopsAtEvent {
					yield(firmware.Event{}, fault(e.Run))
					return
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func fragileHarness(careless string) firmwaretest.Harness {
	return firmwaretest.Harness{
		Open: func(testing.TB) firmware.Store {
			return each(func(d firmware.DeviceStore) firmware.DeviceStore {
				return &fragile{d, careless, map[string]bool{}}
			})(memory.New())
		},
		Damage: func(_ testing.TB, s firmware.Store, device, run string) {
			s.Firmware(device).(*fragile).broken[run] = true
		},
	}
}

func TestAStoreThatNoticesDamageKeepsItsPromises(t *testing.T) {
	firmwaretest.RunStore(t, fragileHarness("in no way"))
}

// fragileMutants are what the cases of damage must catch.
func fragileMutants() (mutants []provetest.Mutant) {
	caught := map[string]string{
		loadsDamaged: "a record that cannot be read is damaged", losesAll: "a record that cannot be read is damaged",
	}
	for _, careless := range []string{
		loadsDamaged, losesAll, loadsHalf, readsDamaged, listsDamaged, stopsAtRun, hidesRun, stopsAtEvent, repeatsEvents,
	} {
		name := caught[careless]
		if name == "" {
			name = "a run that cannot be read is named, and the others are listed"
		}
		mutants = append(mutants, provetest.Mutant{What: careless, Caught: name, Cases: fragileHarness(careless).Cases()})
	}
	return mutants
}
