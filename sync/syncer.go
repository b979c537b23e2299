package sync

import (
	"context"
	"iter"
)

// Syncer keeps something the same on many devices. *Folder is one; the adapter
// and an application's own code take any. It is safe for concurrent use, and
// by several processes on one Store: the one that holds the folder's lease acts,
// the others see what it does and may ask it to stop.
type Syncer interface {
	// Plan compares both sides and changes neither. A guard that would refuse
	// is in Plan.Guard. It returns ErrBusy while a run is live.
	Plan(ctx context.Context, r Request) (Plan, error)
	// Start records the run and returns; the sync goes on in the background
	// and does not end with ctx. It returns ErrBusy while a run is live,
	// and takes it up if nobody works on it; ErrBooting, which is ErrBusy,
	// during the first one of Folder.Run, ErrDisabled, and ErrNotFound for a
	// Request.Remote that is not there.
	//
	// When ctx ends before Start has returned, the run may have begun all the
	// same: repeat the request with its RequestID to learn that.
	Start(ctx context.Context, r Request) (Run, error)
	// Wait returns the run once it is done, with Run.Err. The run may belong
	// to another process. When ctx ends first, or this process had to give the
	// run up, it returns the run so far and the error that says so.
	Wait(ctx context.Context, id string) (Run, error)
	// Cancel asks the run to stop, and returns once that is recorded; the
	// process that works on it sees it within a second. Nothing is half done:
	// what is committed is applied by the next run. Cancelling a run that is
	// done is not an error.
	Cancel(ctx context.Context, id string, by By) error
	// Get returns a run, or ErrNotFound.
	Get(ctx context.Context, id string) (Run, error)
	// Status returns the present. It asks no remote.
	Status(ctx context.Context) (Status, error)
	// History yields runs, newest first, and stops after an error. The last
	// 10,000 are kept.
	History(ctx context.Context, q Query) iter.Seq2[Run, error]
	// Watch yields every event with a Seq greater than after, in order, losing
	// none, and waits for more until ctx ends or the caller breaks. A negative
	// after starts with the next event. The last pair has an error: ctx's, or
	// ErrCompacted when events that follow after are no longer kept, or after
	// is of another history, such as one from before a restore. Engines keep
	// events for 30 days and 100,000 of them; of a run's, at most 1,000 are
	// EventRetry, and 4 a second EventProgress.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}
