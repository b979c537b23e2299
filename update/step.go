package update

import (
	"context"
	"time"
)

// Step is one part of an update. See package update/step for ready-made ones.
//
// Its functions are called one at a time, with a context that ends when the run
// is cancelled, loses its lock, stalls, after Timeout, or when the Updater is
// closed. What it says of the lock is true when it is asked, as that of
// Held.Context: who derives another context from it asks this one before an
// effect. A panic in one is its error. One that does not return for a sixth of
// Config.LockTTL after its context has ended is left alone: the run has failed
// with nothing undone, and its lock is free. But one that Shutdown or Close
// ended has not failed, keeps its lock, and is waited for until it returns. A
// step that was begun three times without an end, because the process died each
// time, has failed.
type Step struct {
	// Name is required, unique in the package, and of 1 to 128 bytes. It is
	// for ever: a run finds its steps by their names, also when the next
	// release of the program takes it over.
	Name string
	// Do has the effect. Required. It must bear being run again after a
	// crash, unless there is a Probe.
	Do func(ctx context.Context, t *Task) error
	// Check is the pre-flight: it changes nothing, and all checks run before
	// the first Do.
	Check func(ctx context.Context, t *Task) error
	// Probe tells after a crash or an error whether the effect is there.
	Probe func(ctx context.Context, t *Task) (Applied, error)
	// Verify tells whether the effect is good; an error rolls back.
	Verify func(ctx context.Context, t *Task) error
	// Undo takes the effect back. Steps are undone in reverse order, the one
	// that failed included unless its Probe finds AppliedNo. It must bear
	// being run twice, and being run when Do got half-way. One that fails ends
	// the way back, for a person, who can ask for Rollback again. A step without
	// one has nothing to undo, as far as the run knows, and is passed over on the
	// way back: one that must not stay has an Undo, and one after which there is
	// no way back is a PointOfNoReturn.
	Undo func(ctx context.Context, t *Task) error
	// Weight is the step's share of Run.Percent. Default 1.
	Weight int
	// Timeout bounds each call. Default: none but the stall of Config.LockTTL.
	Timeout time.Duration
	// PointOfNoReturn: once Do has begun the run only goes forward.
	PointOfNoReturn bool
}

// Applied is the answer of a Probe.
type Applied int

// What a Probe finds.
const (
	AppliedUnknown Applied = iota // Do runs again
	AppliedNo
	AppliedPartly // Undo, then Do
	AppliedYes
)
