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
// many processes when their state lives outside the process. What they return is
// what was saved, and the caller's to change: texts byte by byte, instants in UTC
// to the nanosecond, and nothing empty in the place of nothing or the reverse, so
// that a writer whose reply was lost knows its own record again. The devices of
// a Store see nothing of each other. Package firmwaretest checks them.
type DeviceStore interface {
	// Load returns the record, or the zero Record of a device that is new, or
	// ErrCorrupt if it or its run cannot be read.
	Load(ctx context.Context) (Record, error)
	// Save replaces the record and appends the events, all or nothing. It
	// returns ErrStale unless the stored Rev is r.Rev, which is 0 for a device
	// that is new, and no greater Token has written; what is refused counts for
	// neither. A save costs what has changed: the catalog may be large, and is
	// the same at most of them.
	//
	// r.Run takes its place in the history, by its ID, which must be set, else
	// ErrInvalid; a record of another run, or of none, leaves it there as it is.
	// The first save of an ID gives the run its place, its Request, CreatedAt and
	// Seq, that of the first of the events that is about it, or 0; later ones
	// keep these. ErrExists is for a first save whose RequestID another of the
	// device's runs has, one that has ended too.
	//
	// What is returned is the record as it is stored: with the next Rev, and in
	// Run what the engine knows better, its times by the engine's clock and in
	// milliseconds: UpdatedAt is that of this save, EndedAt that of the first
	// save with State.Done, and zero while the run goes on.
	Save(ctx context.Context, r Record, events ...Event) (Record, error)
	// Get returns a run, or ErrNotFound, or ErrCorrupt if it cannot be read.
	Get(ctx context.Context, id string) (Run, error)
	// History yields the runs that q selects, newest first by their first save,
	// and stops after an error. But one that cannot be read comes with ErrCorrupt
	// and its ID, and the list goes on. An unknown Query.After is ErrNotFound; one
	// that q does not select marks its place all the same. Nothing is held between
	// two runs: the caller may take its time, and save.
	History(ctx context.Context, q Query) iter.Seq2[Run, error]
	// Watch keeps the promise of Service.Watch. The engine gives each event its
	// Seq and Time when it is written, and State and Percent from the run of the
	// record if the event is about that, else none, and Device from the record.
	// Seqs are those of the device, 1, 2, 3 and so on, with a gap only where a
	// database was restored and another history begins; so many are kept of each
	// device. An after that no event has yet is of another history, such as one
	// from before a restore, and ErrCompacted too. One that cannot be read is an
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
	Floor    int64  // epoch below which nothing is accepted; only rises, to that of a confirmed image
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
