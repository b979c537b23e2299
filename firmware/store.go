package firmware

import (
	"context"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/lease"
)

// Store is what a Service needs of an engine; every engine is one. The lease is
// on the item "firmware/" and the device.
type Store interface {
	Locker() lease.Locker
	Firmware(device string) DeviceStore
}

// DeviceStore remembers one device's record, runs and events. What a call has
// acknowledged is durable. Implementations are safe for concurrent use, and by
// many processes when their state lives outside the process; what they return
// is the caller's to change, and texts come back byte by byte. Package
// firmwaretest checks them.
type DeviceStore interface {
	// Load returns the record, or the zero Record, or ErrCorrupt if it cannot
	// be read.
	Load(ctx context.Context) (Record, error)
	// Save replaces the record and appends the events, all or nothing; r.Run
	// takes its place in the history, by its ID, which must be set, else
	// ErrInvalid. It returns ErrStale unless the stored Rev is r.Rev and no
	// greater Token has written, and ErrExists for a run that is not in the
	// history yet and whose RequestID one of the device's runs has. What is
	// returned is the record as it is stored: with the next Rev, and the
	// engine's Seq and times in Run; CreatedAt is that of the first save with
	// this ID, EndedAt that of the first with State.Done.
	Save(ctx context.Context, r Record, events ...Event) (Record, error)
	// Get returns a run, or ErrNotFound, or ErrCorrupt if it cannot be read.
	Get(ctx context.Context, id string) (Run, error)
	// History yields the runs that q selects, newest first, and stops after an
	// error. But one that cannot be read comes with ErrCorrupt and its ID, and
	// the list goes on. An unknown Query.After is ErrNotFound; one that q does
	// not select marks its place all the same.
	History(ctx context.Context, q Query) iter.Seq2[Run, error]
	// Watch keeps the promise of Service.Watch. The engine gives each event its
	// Seq and Time when it is written, and State and Percent from the run of the
	// record if the event is about that, and Device from the record. An after
	// that no event has yet is of another history, such as one from before a
	// restore, and ErrCompacted too. One that cannot be read is an
	// EventCorrupt. A closed engine ends it with its error.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// Record is the state of a device that outlives power.
type Record struct {
	Run      *Run // the live run, or the last
	Device   DeviceState
	Info     string // more about Device, for people: why it is unavailable, what it waits for
	Running  Slot   // the running image, as the Service saw it last
	Settings Settings
	Kept     bool // Settings are what Configure made of them
	Check    Check
	Catalog  Catalog
	Trust    []byte // the Verifier's, kept for it
	Floor    int64  // epoch below which nothing is accepted; only rises, at Confirm
	// RolledBack are the digests of the last 16 releases that were rolled back,
	// which Automatic leaves alone.
	RolledBack [][32]byte
	Progress   []byte // how far the run has come: this package's business

	Rev   int64 // number of times it was saved
	Token int64 // fencing token of the lease it was written under
}

// Clone returns a copy that shares nothing with r that could change.
func (r Record) Clone() Record {
	if r.Run != nil {
		run := r.Run.Clone()
		r.Run = &run
	}
	r.Catalog = r.Catalog.Clone()
	r.Trust, r.Progress, r.RolledBack = slices.Clone(r.Trust), slices.Clone(r.Progress), slices.Clone(r.RolledBack)
	return r
}
