package update

import (
	"context"
	"io"
	"iter"
	"time"
)

// Task is what a step may know and say.
type Task struct {
	Run     Run     // as it was when the step began; its Token guards effects elsewhere
	Release Release // what is to be installed
	// Output takes what a person may want to read; it becomes EventLog events.
	Output io.Writer
}

// Progress reports done of total, in any unit, and shows that the step lives.
func (t *Task) Progress(done, total int64, message string) { panic("stub") }

// Save keeps v, as JSON, for the step's own later functions. It is durable
// when Save returns.
func (t *Task) Save(ctx context.Context, v any) error { panic("stub") }

// Load reads what Save kept. Nothing kept leaves v alone.
func (t *Task) Load(v any) error { panic("stub") }

// HoldConfig configures Hold. A zero field means its documented default.
type HoldConfig struct {
	Owner string        // default: host name and process id
	TTL   time.Duration // default 3 minutes
	Wait  bool          // wait for the item until ctx ends; default: ErrHeld at once
}

// Held is a lease that is kept alive.
type Held struct{ _ Lease }

// Hold acquires item and renews the lease until Release. Ctx bounds the
// acquisition only.
func Hold(ctx context.Context, l Locker, item string, c HoldConfig) (*Held, error) { panic("stub") }

// Context ends with the cause ErrLost before anybody else can hold the item,
// by a local monotonic deadline measured from before the last request.
func (h *Held) Context() context.Context { panic("stub") }

// Lease returns the lease. Its token does not change.
func (h *Held) Lease() Lease { panic("stub") }

// Release ends the lease and its context. It may be called twice.
func (h *Held) Release() error { panic("stub") }

// Updater updates the packages of its Config. It is safe for concurrent use.
type Updater struct{ _ Config }

// New returns an Updater. It starts nothing.
func New(c Config) (*Updater, error) { panic("stub") }

// Packages returns the names of the packages, in the order of the Config.
func (u *Updater) Packages() []string { panic("stub") }

// Plan resolves the version and runs the pre-flight check of every step. It
// changes nothing.
func (u *Updater) Plan(ctx context.Context, r Request) (Plan, error) { panic("stub") }

// Start validates the request, takes the lock, records the run and returns;
// the update goes on in the background and does not end with ctx. A run that a
// dead process left behind is finished or rolled back first. It returns
// ErrBusy while another run holds the lock, and ErrUpToDate when there is
// nothing to do.
func (u *Updater) Start(ctx context.Context, r Request) (Run, error) { panic("stub") }

// Wait returns the run once it is done, with Run.Err. The run may belong to
// another process. When ctx ends first it returns the run so far and ctx's error.
func (u *Updater) Wait(ctx context.Context, id string) (Run, error) { panic("stub") }

// Update is Start and Wait.
func (u *Updater) Update(ctx context.Context, r Request) (Run, error) { panic("stub") }

// Cancel asks the run to stop and to undo what it did. It returns once that is
// recorded. It returns ErrTooLate after the point of no return; cancelling a
// run that is done is not an error.
func (u *Updater) Cancel(ctx context.Context, id string, by By) error { panic("stub") }

// Rollback undoes a run that has ended, by a new run of its undo steps.
func (u *Updater) Rollback(ctx context.Context, id string, by By) (Run, error) { panic("stub") }

// Status returns the present of a package.
func (u *Updater) Status(ctx context.Context, pkg string) (Status, error) { panic("stub") }

// Get returns a run, or ErrNotFound.
func (u *Updater) Get(ctx context.Context, id string) (Run, error) { panic("stub") }

// History yields runs, newest first.
func (u *Updater) History(ctx context.Context, q Query) iter.Seq2[Run, error] { panic("stub") }

// Watch yields every event with a Seq greater than after, in order, losing
// none, and waits for more until ctx ends or the caller breaks. A negative
// after starts with the next event. The last pair has an error: ctx's, or
// ErrCompacted when events after after are no longer kept.
func (u *Updater) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] { panic("stub") }

// Break ends the lease on a lock item if it still has this token. It is for
// people: the run that holds it is cancelled, and its later writes are refused.
func (u *Updater) Break(ctx context.Context, item string, token int64, by By) error { panic("stub") }

// Recover finishes or rolls back the runs that dead processes left behind and
// returns. A program that swaps its own binary calls it when it starts.
func (u *Updater) Recover(ctx context.Context) error { panic("stub") }

// Run recovers now and whenever another process dies, until ctx ends.
func (u *Updater) Run(ctx context.Context) error { panic("stub") }

// Close stops the runs of this Updater before their next step and waits; they
// are left for Recover. It may be called twice.
func (u *Updater) Close() error { panic("stub") }
