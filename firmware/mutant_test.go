package firmware_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/historytest"
)

// mutant is a device on which something breaks a promise. Histories are to find
// out, and to say what.
type mutant struct {
	what   string
	caught string
	breaks func(w *world, c *firmware.Config)
}

// storeMutant is a store that changes what is loaded, and what is saved in the
// place of what is stored.
type storeMutant struct {
	firmware.DeviceStore
	load func(*firmware.Record)
	save func(stored firmware.Record, r *firmware.Record, events []firmware.Event) []firmware.Event
}

// Load implements firmware.DeviceStore.
func (s storeMutant) Load(ctx context.Context) (firmware.Record, error) {
	r, err := s.DeviceStore.Load(ctx)
	if s.load != nil {
		s.load(&r)
	}
	return r, err
}

// Save implements firmware.DeviceStore.
func (s storeMutant) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	stored, err := s.DeviceStore.Load(ctx)
	if err != nil {
		return stored, err
	}
	r = r.Clone()
	if s.save != nil {
		events = s.save(stored, &r, events)
	}
	return s.DeviceStore.Save(ctx, r, events...)
}

func onLoad(f func(*firmware.Record)) func(*world, *firmware.Config) {
	return func(_ *world, c *firmware.Config) { c.DeviceStore = storeMutant{c.DeviceStore, f, nil} }
}

func onSave(f func(stored firmware.Record, r *firmware.Record, events []firmware.Event) []firmware.Event) func(*world, *firmware.Config) {
	return func(_ *world, c *firmware.Config) { c.DeviceStore = storeMutant{c.DeviceStore, nil, f} }
}

// slotsMutant are slots that are told, and tell, something else.
type slotsMutant struct {
	firmware.Slots
	pair    func(*firmware.Pair)
	open    func(firmware.File, firmware.Release) firmware.File
	confirm func()
}

// Pair implements firmware.Slots.
func (s slotsMutant) Pair(ctx context.Context) (firmware.Pair, error) {
	p, err := s.Slots.Pair(ctx)
	if err == nil && s.pair != nil {
		s.pair(&p)
	}
	return p, err
}

// Open implements firmware.Slots.
func (s slotsMutant) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	f, err := s.Slots.Open(ctx, r)
	if err == nil && s.open != nil {
		f = s.open(f, r)
	}
	return f, err
}

// Confirm implements firmware.Slots.
func (s slotsMutant) Confirm(ctx context.Context) error {
	if s.confirm != nil {
		s.confirm()
	}
	return s.Slots.Confirm(ctx)
}

// forgetful is a file that shows what it has not written.
type forgetful struct {
	firmware.File
	shown []byte
}

// WriteAt writes all but what begins with the second segment.
func (f forgetful) WriteAt(p []byte, off int64) (int, error) {
	copy(f.shown[off:], p)
	if off == small {
		return len(p), nil
	}
	return f.File.WriteAt(p, off)
}

// ReadAt reads what was to be written.
func (f forgetful) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.shown).ReadAt(p, off)
}

// unclosed is a file that stays open.
type unclosed struct{ firmware.File }

// Close does nothing.
func (unclosed) Close() error { return nil }

var mutants = []mutant{
	{"a state that the document has not", "not one of the document", onLoad(func(r *firmware.Record) {
		if r.Device == firmware.DeviceVerifying {
			r.Device = "pulling, verifying"
		}
	})},
	{"progress that falls", "progress goes from", onSave(func(_ firmware.Record, r *firmware.Record, events []firmware.Event) []firmware.Event {
		if r.Run != nil && r.Device == firmware.DeviceVerifying {
			r.Run.Percent = 50
		}
		return events
	})},
	{"progress while nothing is pulled", "there is progress", onSave(
		func(stored firmware.Record, r *firmware.Record, events []firmware.Event) []firmware.Event {
			if r.Run != nil && r.Run.State == firmware.StateRestarting && stored.Run.Percent < 100 {
				r.Run.Percent = 100
			} else if r.Run != nil && r.Run.State != firmware.StateRestarting {
				r.Run.Percent = min(r.Run.Percent, 99)
			}
			return events
		})},
	{"a floor that falls", "the floor falls", onSave(func(_ firmware.Record, r *firmware.Record, events []firmware.Event) []firmware.Event {
		if r.Run != nil && r.Run.State == firmware.StateRunning {
			r.Floor = 0
		}
		return events
	})},
	{"a floor that nobody looks at", "below the floor", func(_ *world, c *firmware.Config) {
		c.DeviceStore = storeMutant{c.DeviceStore, func(r *firmware.Record) { r.Floor = 0 },
			func(stored firmware.Record, r *firmware.Record, events []firmware.Event) []firmware.Event {
				r.Floor = max(r.Floor, stored.Floor)
				return events
			}}
		c.Slots = slotsMutant{Slots: c.Slots, pair: func(p *firmware.Pair) { p.Running.Epoch = 0 }}
	}},
	{"slots that go on with the file of the run before", "the slot that runs is written", func(w *world, c *firmware.Config) {
		c.Slots = slotsMutant{Slots: c.Slots, open: func(f firmware.File, _ firmware.Release) firmware.File {
			if w.opened == nil {
				w.opened = unclosed{f}
			}
			return w.opened
		}}
	}},
	{"a record without the run that waits", "2 runs are live", onLoad(func(r *firmware.Record) {
		if r.Run != nil && r.Run.State == firmware.StateWaiting {
			r.Run = nil
		}
	})},
	{"an end that is told twice", "2 events say", onSave(func(_ firmware.Record, _ *firmware.Record, events []firmware.Event) []firmware.Event {
		if len(events) > 0 && events[0].Kind == firmware.EventEnded {
			events = append(events, events[0])
		}
		return events
	})},
	{"an end that is not told", "0 events say", onSave(func(_ firmware.Record, _ *firmware.Record, events []firmware.Event) []firmware.Event {
		if len(events) > 0 && events[0].Kind == firmware.EventEnded {
			return nil
		}
		return events
	})},
	{"slots that say too early that they are confirmed", "is not confirmed", func(_ *world, c *firmware.Config) {
		c.Slots = slotsMutant{Slots: c.Slots, pair: func(p *firmware.Pair) { p.Confirmed = true }}
	}},
	{"a medium that keeps less than it shows", "not whole", func(w *world, c *firmware.Config) {
		c.Slots = slotsMutant{Slots: c.Slots, open: func(f firmware.File, r firmware.Release) firmware.File {
			if w.shown[r.Digest] == nil {
				w.shown[r.Digest] = make([]byte, r.Size)
			}
			return forgetful{f, w.shown[r.Digest]}
		}}
	}},
	{"a record that forgets what has fallen back", "taken again by itself", onLoad(func(r *firmware.Record) { r.RolledBack = nil })},
	{"images that come up no more once they are confirmed", "no image is started", func(w *world, c *firmware.Config) {
		c.Slots = slotsMutant{Slots: c.Slots, confirm: func() {
			w.lock(func() { w.faults.dark = true })
		}}
	}},
	{"a device that never restarts", "come to rest", func(_ *world, c *firmware.Config) {
		c.Reboot = func(context.Context) error { return nil }
	}},
	{"slots that have no room", "cannot be updated", func(_ *world, c *firmware.Config) { c.Slots = cramped{c.Slots} }},
}

func TestRandomHistoriesCatchEachBrokenPromise(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.what, func(t *testing.T) {
			play := player(t, m)
			why := historytest.Failure(t, func(t testing.TB) { historytest.Run(t, 300, play, play) })
			require.NotEmpty(t, why, "no history finds it")
			assert.Contains(t, why, m.caught)
		})
	}
}
