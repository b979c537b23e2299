package update

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// State says how far a run has come.
type State string

// A run is running or rolling back, then one of the others for ever.
const (
	StateRunning     State = "running"
	StateRollingBack State = "rolling_back"
	StateSucceeded   State = "succeeded"
	StateRolledBack  State = "rolled_back" // failed; what the steps can undo is undone
	StateCancelled   State = "cancelled"   // cancelled; what the steps can undo is undone
	StateFailed      State = "failed"      // failed and not undone: a person must look
)

// Done reports whether the state is final.
func (s State) Done() bool {
	return s != StateRunning && s != StateRollingBack
}

// Run is one update: the record that is kept.
type Run struct {
	ID      string
	Package string
	Item    string  // the lock it runs under
	From    string  // version before, "" for none
	Version string  // version wanted, as the source spells it
	Release Release // what is installed
	State   State
	Percent int // 0 to 100, by the steps' weights; never falls while running
	Steps   []StepRecord
	Reason  string // why it did not succeed
	// Request is what was asked for; of a run that takes another one back, only
	// its Package, Version and By.
	Request Request
	Undoes  string // the run that this run takes back, or ""
	Cancel  *By    // who asked to stop it, or nil
	Owner   string // the process that works on it, for people

	CreatedAt, UpdatedAt, EndedAt time.Time // UTC, by the engine's clock

	Seq   int64 // of its first event: Watch(ctx, run.Seq-1) begins with that
	Rev   int64 // number of times it was saved
	Token int64 // fencing token of the lease it runs under
}

// Err returns nil for a run that succeeded or goes on, and an error that is
// ErrFailed or ErrCancelled and carries Reason for any other.
func (r Run) Err() error {
	switch r.State {
	case StateRolledBack, StateFailed:
		return fmt.Errorf("%w: %s", ErrFailed, r.Reason)
	case StateCancelled:
		return fmt.Errorf("%w: %s", ErrCancelled, r.Reason)
	}
	return nil
}

// Clone returns a copy that shares nothing with r that could change.
func (r Run) Clone() Run {
	r.Steps = slices.Clone(r.Steps)
	for i := range r.Steps {
		r.Steps[i].Data = slices.Clone(r.Steps[i].Data)
	}
	r.Release = r.Release.clone()
	if r.Cancel != nil {
		by := *r.Cancel
		r.Cancel = &by
	}
	return r
}

// By says who asks for something, and why.
type By struct {
	Actor  string // at most 256 bytes
	Reason string // at most 4 KiB
	// RequestID makes a repeated request to begin a run return the run that the
	// first one began. It is unique in the package, and of at most 256 bytes.
	RequestID string
}

// String is "by Actor: Reason", without what is not known.
func (b By) String() string {
	switch {
	case b.Actor == "":
		return b.Reason
	case b.Reason == "":
		return "by " + b.Actor
	}
	return "by " + b.Actor + ": " + b.Reason
}

// Phase says how far a step has come.
type Phase string

// The phases of a step.
const (
	PhaseTodo    Phase = "todo"
	PhaseDoing   Phase = "doing" // recorded before the effect
	PhaseDone    Phase = "done"  // recorded after it
	PhaseFailed  Phase = "failed"
	PhaseUndoing Phase = "undoing" // recorded before the undo
	PhaseUndone  Phase = "undone"
)

// StepRecord is what a run remembers of a step.
type StepRecord struct {
	Name    string
	Phase   Phase
	Attempt int    // how often Do has begun, but for those that Shutdown or Close ended
	Data    []byte // what Task.Save kept, JSON
	Error   string // why it failed, also when it is undone
	// Weight, Final and NoUndo are the Weight and PointOfNoReturn of the step,
	// and that it has no Undo, by the program that recorded the run or began
	// the step last. They are what the run goes by when a program takes it over
	// that has no step of this name.
	Weight        int
	Final, NoUndo bool
	// StartedAt and EndedAt are UTC, by the clock of the process that ran it.
	StartedAt, EndedAt time.Time
}

// EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventStarted EventKind = "started"
	EventStep    EventKind = "step"  // a step changed its phase
	EventSaved   EventKind = "saved" // a step kept data
	// EventProgress is what a step says of its progress. Without a Step the run
	// turns back, and the Message is the reason.
	EventProgress EventKind = "progress"
	// EventLog is output of a step: lines, without the end of the last. One that
	// takes more than a second to write may come in parts.
	EventLog       EventKind = "log"
	EventCancel    EventKind = "cancel"    // somebody asked to stop the run
	EventBroken    EventKind = "broken"    // somebody broke the run's lock
	EventStopped   EventKind = "stopped"   // the process that worked on the run leaves it
	EventRecovered EventKind = "recovered" // another process took the run over
	EventEnded     EventKind = "ended"
	EventCorrupt   EventKind = "corrupt" // what it said cannot be read any more; only Seq, Time and Run are known
)

// Event is something that happened to a run.
type Event struct {
	Seq     int64     // greater than that of every earlier event of the journal
	Time    time.Time // UTC, by the engine's clock
	Run     string
	Package string
	Kind    EventKind
	State   State // of the run, after the event
	Percent int
	Step    string // of the events of a step
	Phase   Phase
	Actor   string // who asked, for EventStarted, EventCancel and EventBroken
	Message string
}

// Status is the present of a package.
type Status struct {
	Package string
	Version string       // installed version, "" for none
	Run     *Run         // the live run of the package, or nil
	Lease   *lease.Lease // who holds the package's lock, or nil
}

// Plan is what an update would do.
type Plan struct {
	Package  string
	From     string // installed version, "" for none
	Version  string // resolved version
	UpToDate bool   // Version is installed: there is nothing to do
	Steps    []string
}

func (r Run) describe() string {
	text := fmt.Sprintf("bring %s from %q to %s", r.Package, r.From, r.Version)
	if r.Undoes != "" {
		text = fmt.Sprintf("take %s back from %s to %q", r.Package, r.From, r.Version)
	}
	return strings.TrimSuffix(text+": "+r.Request.By.Reason, ": ")
}
