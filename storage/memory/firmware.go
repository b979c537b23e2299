package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/eventlog"
	"github.com/upkeep-go/upkeep/storage"
)

// device is the firmware.DeviceStore of one device.
type device struct {
	db     *DB
	record firmware.Record
	runs   runs[firmware.Run]
	log    eventlog.Log[firmware.Event]
}

// Firmware returns what package firmware keeps of a device.
func (db *DB) Firmware(name string) firmware.DeviceStore { return storeOf(db, name, newDevice) }

func newDevice(db *DB, keep storage.Retention) *device {
	return &device{
		db: db, runs: newRuns(db, firmware.ErrNotFound, firmware.Run.Clone),
		log: eventlog.Log[firmware.Event]{Events: keep.Events, Age: keep.Age, Compacted: firmware.ErrCompacted},
	}
}

// Load implements firmware.DeviceStore.
func (d *device) Load(ctx context.Context) (firmware.Record, error) {
	if err := d.db.lock(ctx); err != nil {
		return firmware.Record{}, err
	}
	defer d.db.mu.Unlock()
	return d.record.Clone(), nil
}

// Save implements firmware.DeviceStore.
func (d *device) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	if r.Run != nil && r.Run.ID == "" {
		return firmware.Record{}, fmt.Errorf("%w: a run without an id", firmware.ErrInvalid)
	}
	if err := d.db.lock(ctx); err != nil {
		return firmware.Record{}, err
	}
	defer d.db.mu.Unlock()
	if r.Rev != d.record.Rev || r.Token < d.record.Token {
		return firmware.Record{}, firmware.ErrStale
	}
	r, now := r.Clone(), stamp(time.Now())
	if r.Run != nil {
		if err := d.put(r.Run, now, about(events, r.Run.ID)); err != nil {
			return firmware.Record{}, err
		}
	}
	r.Rev++
	d.record = r
	last := d.log.Last()
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		e.Seq, e.Time, e.Device = last+int64(i)+1, now, r.Device
		if e.State, e.Percent = "", 0; r.Run != nil && e.Run == r.Run.ID {
			e.State, e.Percent = r.Run.State, r.Run.Percent
		}
	}
	d.log.Append(now, events...)
	return r.Clone(), nil
}

// about is the place of the first event of a run among events, or -1.
func about(events []firmware.Event, run string) int {
	return slices.IndexFunc(events, func(e firmware.Event) bool { return e.Run == run })
}

// put gives a run its place in the history, and what the engine knows of it.
func (d *device) put(run *firmware.Run, now time.Time, first int) error {
	i, known := d.runs.index[run.ID]
	asked := request{id: run.Request.By.RequestID}
	if !known {
		if j, taken := d.runs.requests[asked]; taken {
			return fmt.Errorf("%w: request %q began run %q", firmware.ErrExists, asked.id, d.runs.all[j].ID)
		}
		i = d.runs.add(run.ID, asked)
		d.runs.all[i].CreatedAt = now
		if first >= 0 {
			d.runs.all[i].Seq = d.log.Last() + 1 + int64(first)
		}
	} else {
		run.Request = d.runs.all[i].Request
	}
	old := d.runs.all[i]
	run.Seq, run.CreatedAt, run.UpdatedAt, run.EndedAt = old.Seq, old.CreatedAt, now, ended(run.State.Done(), old.EndedAt, now)
	d.runs.all[i] = run.Clone()
	return nil
}

// Get implements firmware.DeviceStore.
func (d *device) Get(ctx context.Context, id string) (firmware.Run, error) {
	return d.runs.get(ctx, id)
}

// History implements firmware.DeviceStore.
func (d *device) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	return d.runs.history(ctx, q.After, func(r firmware.Run) bool {
		return (q.RequestID == "" || q.RequestID == r.Request.By.RequestID) && !(q.Live && r.State.Done())
	})
}

// Watch implements firmware.DeviceStore.
func (d *device) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return d.log.Watch(ctx, after)
}

// forget implements store.
func (d *device) forget() {
	d.runs.forget()
	d.record = firmware.Record{}
	d.log.Close(storage.ErrClosed)
}
