package rollout

import (
	"encoding/json"
	"fmt"
	"time"
)

// State says how far a run has come.
type State string

// The states of a run, in order. The last three are final.
const (
	StateAccepted     State = "accepted"
	StateBuilding     State = "building"
	StateProvisioning State = "provisioning"
	StateHealthWait   State = "health_wait"
	StateShifting     State = "shifting"
	StateAnalysing    State = "analysing"
	StatePaused       State = "paused" // by a Step, a Gate, an Analysis or Pause; Run.Reason says
	StatePromoting    State = "promoting"
	StateDraining     State = "draining"
	StateFinalising   State = "finalising"
	StateRollingBack  State = "rolling_back"
	StateSucceeded    State = "succeeded"
	StateRolledBack   State = "rolled_back" // failed, and all is as before
	StateCancelled    State = "cancelled"   // cancelled, and all is as before
)

// Done reports whether the state is final.
func (s State) Done() bool {
	switch s {
	case StateSucceeded, StateRolledBack, StateCancelled:
		return true
	}
	return false
}

// Run is one rollout: the record that is kept.
type Run struct {
	ID       string
	Seq      int64 // of its first event: Watch(ctx, Seq-1) starts with it
	Service  ServiceID
	From     RevisionID // what it replaces; zero for the first
	Revision RevisionID // what it makes; its Run is ID, unless nothing is made
	State    State
	Percent  int // 0 to 100, of the work; never falls before StateRollingBack
	Step     int // index in Strategy.Steps, once it is shifting
	// States are those that it was in, the oldest first. Of a run that lasts
	// long 400 are kept, and 100 measurements: the first and the newest, and
	// before others those with a verdict that was no pass, and those with
	// another one than the next.
	States []StateRecord
	Before Split // of the service, when the run began
	Was    Spec  // of From, when the run began
	Split  Split // as last set
	// Reason is why it is paused, or did not succeed. Of one that has succeeded it
	// says that nothing was judged, or that the last verdict was none, or bad.
	Reason   string
	Spec     Spec // complete; the snapshot, once the run has succeeded
	Strategy Strategy
	Request  Request
	Undoes   string // the run that this run takes back, or ""
	Wish     *Wish  // what somebody asked of it last, or nil
	Owner    string // the process that works on it, for people
	// Progress is the Controller's own: how far the work has come.
	Progress json.RawMessage

	CreatedAt, UpdatedAt, EndedAt time.Time // UTC, by the engine's clock

	Rev   int64 // number of times it was saved
	Token int64 // fencing token of the lease it runs under
}

// Err returns nil for a run that succeeded or goes on, and an error that is
// ErrFailed or ErrCancelled and carries Reason for any other.
func (r Run) Err() error {
	var kind error
	switch r.State {
	case StateCancelled:
		kind = ErrCancelled
	case StateRolledBack:
		kind = ErrFailed
	default:
		return nil
	}
	if r.Reason == "" {
		return kind
	}
	return fmt.Errorf("%w: %s", kind, r.Reason)
}

// StateRecord is a state that a run was in.
type StateRecord struct {
	State        State
	Step         int
	Reason       string
	Measurements []Measurement
	// StartedAt and EndedAt are UTC, by the clock of the process that worked.
	StartedAt, EndedAt time.Time
}

// Wish is what somebody asked of a live run.
type Wish struct {
	Kind WishKind
	Step int // that it is for
	By   By
}

// WishKind says what is wished.
type WishKind string

// The kinds of wishes. WishCancel replaces any other, and is not replaced.
const (
	WishPause   WishKind = "pause"
	WishResume  WishKind = "resume"
	WishPromote WishKind = "promote"
	WishCancel  WishKind = "cancel"
)

// Plan is what a rollout would do.
type Plan struct {
	ID       string // for Request.Plan: the same as long as it would do the same
	From     RevisionID
	Version  string
	Spec     Spec // complete
	Diff     []Difference
	UpToDate bool // nothing would change
	// Live is the run that the service has, or "". While it lasts Start returns
	// ErrBusy, unless Request.Supersede cancels it: then the plan is another one.
	Live        string
	Steps       []PlannedStep
	Hooks       []string      // in the order in which they would run
	Longest     time.Duration // unless it is paused
	NotEnforced []string      // fields of Spec that the Deployer cannot hold to
}

// PlannedStep is a step as it would be.
type PlannedStep struct {
	Step     Step
	Split    Split
	Replicas map[string]int // by Weight.Run, "" for the new one
}

// Difference is a field that changes. Values that may be secret are masked.
type Difference struct{ Field, From, To string }

// EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventStarted     EventKind = "started"
	EventState       EventKind = "state"       // the run is in another one, or at another step
	EventProgress    EventKind = "progress"    // shares, replicas or hooks; Message says which
	EventMeasurement EventKind = "measurement" // of those that say the same the first ten, and then every second, fourth …
	EventLog         EventKind = "log"
	EventWish        EventKind = "wish"
	EventRecovered   EventKind = "recovered" // another process took the run over
	EventEnded       EventKind = "ended"
	EventService     EventKind = "service" // a service changed outside a run
	EventCorrupt     EventKind = "corrupt" // what it said cannot be read any more; only Seq, Time and Run are known
)

// Event is something that happened to a run, or to a service.
type Event struct {
	Seq     int64     // greater than that of every earlier event of the store
	Time    time.Time // UTC, by the engine's clock
	Run     string    // "" for EventService
	Service ServiceID
	Kind    EventKind
	State   State // of the run, after the event
	Step    int
	Percent int // of the work, as in Run
	Split   Split
	Actor   string // who asked, where somebody did
	Message string
}

// Query selects runs. The zero Query selects all.
type Query struct {
	Service   ServiceID // default: every service
	Live      bool      // only runs that are not done
	State     State     // default: every state
	RequestID string    // only the run with this Request.By.RequestID
	After     string    // only runs that follow the run with this id in the list
}
