package updatetest_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

// fragile is a journal whose runs can be damaged, and which notices. It is
// careless in one way.
type fragile struct {
	update.Journal
	careless string
	broken   map[string]bool
}

// The ways to be careless.
const (
	readsDamaged  = "returns what it cannot read"
	listsDamaged  = "lists what it cannot read as if it could"
	stopsAtRun    = "stops its list at what it cannot read"
	hidesRun      = "leaves out what it cannot read"
	forgetsItem   = "does not say under which lock"
	stopsAtEvent  = "stops its feed at what it cannot read"
	repeatsEvents = "tells of what it cannot read"
)

func (f *fragile) fault(run string) error { return fmt.Errorf("%w: run %q", update.ErrCorrupt, run) }

// Get implements update.Journal.
func (f *fragile) Get(ctx context.Context, id string) (update.Run, error) {
	if f.broken[id] && f.careless != readsDamaged {
		return update.Run{}, f.fault(id)
	}
	return f.Journal.Get(ctx, id)
}

// History implements update.Journal.
func (f *fragile) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return func(yield func(update.Run, error) bool) {
		for run, err := range f.Journal.History(ctx, q) {
			if f.broken[run.ID] && f.careless != listsDamaged {
				if f.careless == hidesRun {
					continue
				}
				run, err = update.Run{ID: run.ID, Package: run.Package, Item: run.Item}, f.fault(run.ID)
				if f.careless == forgetsItem {
					run.Item = ""
				}
			}
			if !yield(run, err) || err != nil && f.careless == stopsAtRun {
				return
			}
		}
	}
}

// Watch implements update.Journal.
func (f *fragile) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return func(yield func(update.Event, error) bool) {
		for e, err := range f.Journal.Watch(ctx, after) {
			if f.broken[e.Run] && f.careless != repeatsEvents {
				e = update.Event{Seq: e.Seq, Time: e.Time, Run: e.Run, Kind: update.EventCorrupt}
				if f.careless == stopsAtEvent {
					yield(update.Event{}, f.fault(e.Run))
					return
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func fragileHarness(careless string) updatetest.Harness {
	return updatetest.Harness{
		Open: func(testing.TB) update.Journal {
			return &fragile{memory.New().Journal(), careless, map[string]bool{}}
		},
		Damage: func(_ testing.TB, j update.Journal, run string) { j.(*fragile).broken[run] = true },
	}
}

func TestAJournalThatNoticesDamageKeepsItsPromises(t *testing.T) {
	updatetest.RunJournal(t, fragileHarness("in no way"))
}

// fragileMutants are what the case of damage must catch.
func fragileMutants() (mutants []provetest.Mutant) {
	for _, careless := range []string{readsDamaged, listsDamaged, stopsAtRun, hidesRun, forgetsItem, stopsAtEvent, repeatsEvents} {
		mutants = append(mutants, provetest.Mutant{
			What: careless, Caught: "a run that cannot be read is named, and the others are listed", Cases: fragileHarness(careless).Cases(),
		})
	}
	return mutants
}
