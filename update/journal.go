package update

import (
	"context"
	"iter"
)

// Journal remembers runs and their events. What a call has acknowledged is
// durable. Implementations are safe for concurrent use, and by many processes
// when their state lives outside the process. What they return is the
// caller's to change; texts come back byte by byte. Package updatetest checks them.
type Journal interface {
	// Create records a new run, whose ID must be set (else ErrInvalid), with
	// its first events. It returns the earlier run and ErrExists if the package has a run with
	// the same RequestID, or if there is a run with this ID; and ErrStale if a
	// greater Token has written to the run's Item. The result has Rev 1, the
	// Seq of the first of the events, or 0 without any, and the engine's
	// CreatedAt and UpdatedAt.
	Create(ctx context.Context, r Run, events ...Event) (Run, error)

	// Save replaces the run, but of its steps only those that an event names
	// in Step, and appends the events: all of it or nothing. ID, Package, Seq,
	// Request, CreatedAt and the names and order of the steps never change. It
	// returns ErrNotFound for an unknown run, and ErrStale unless the stored
	// Rev is r.Rev and no greater Token has written to r.Item. Of the result
	// the Rev, which is the next, and the engine's UpdatedAt and EndedAt count,
	// the latter the time of the first save with State.Done; the rest may share
	// memory with r.
	//
	// A save with State.Done also ends the lease on lease.Item("update", r.Item)
	// that has r.Token and r.Owner, if the Locker of the same engine gave it: who
	// sees that the run is done does not find its lock held.
	Save(ctx context.Context, r Run, events ...Event) (Run, error)

	// Get returns a run, or ErrNotFound, or ErrCorrupt if it cannot be read.
	Get(ctx context.Context, id string) (Run, error)

	// History yields the runs that q selects, newest first, and stops after
	// an error. But one that cannot be read comes with ErrCorrupt, and at least
	// its ID, Package and Item, and the list goes on. An unknown Query.After is
	// ErrNotFound; one that q does not select marks its place all the same.
	History(ctx context.Context, q Query) iter.Seq2[Run, error]

	// Watch keeps the promise of Updater.Watch. The engine gives each event
	// its Seq, Time, Run, Package, State and Percent when it is written. An
	// after that no event has yet is of another history, such as one from
	// before a restore, and ErrCompacted too. One that cannot be read is an
	// EventCorrupt. A closed engine ends it with its error.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// Query selects runs. The zero Query selects all.
type Query struct {
	Package   string // default: every package
	Live      bool   // only runs that are not done
	RequestID string // only the run with this Request.By.RequestID
	After     string // only runs that follow the run with this id in the list
}
