package firmware

import (
	"maps"
	"time"
)

// State says how far a run has come.
type State string

// A run is in one of the first five states, then in one of the others for ever.
const (
	StateRunning     State = "running"
	StateWaiting     State = "waiting"      // held by the Gate; Run.Reason says why
	StateRestarting  State = "restarting"   // the slot is activated
	StateTrial       State = "trial"        // the new image runs and is not confirmed
	StateRollingBack State = "rolling_back" // the old image is to start again
	StateSucceeded   State = "succeeded"    // confirmed
	StateRolledBack  State = "rolled_back"  // the old image runs again
	StateCancelled   State = "cancelled"    // before the slot was activated
	StateFailed      State = "failed"       // before the slot was activated, or there was no way back
)

// Done reports whether the state is final.
func (s State) Done() bool {
	switch s {
	case StateSucceeded, StateRolledBack, StateCancelled, StateFailed:
		return true
	}
	return false
}

// DeviceState is what the device does, in the states of the document: always
// exactly one of them.
type DeviceState string

// The device states.
const (
	DeviceIdle           DeviceState = "idle" // also while a run waits, or an image is on trial
	DeviceCheckingLocal  DeviceState = "checking_local"
	DeviceCheckingOnline DeviceState = "checking_online"
	DevicePulling        DeviceState = "pulling"
	DeviceVerifying      DeviceState = "verifying" // reading the image back from the slot
	DeviceUploading      DeviceState = "uploading" // receiving a bundle, or activating the slot
	DeviceCancelling     DeviceState = "cancelling"
	DeviceRestarting     DeviceState = "restarting"
	DeviceUnavailable    DeviceState = "unavailable" // Slots do not work
	DeviceFailed         DeviceState = "failed"      // until the next operation
)

// Run is one update, or one way back: the record that is kept.
type Run struct {
	ID      string
	Seq     int64  // of its first event: Watch(ctx, Seq-1) starts with it
	From    string // version before
	Version string // version wanted
	Release Release
	State   State
	Percent int           // 0 to 100, of the durable bytes; never falls, not by a restart either
	Pulled  map[Way]int64 // bytes from the Feed, by the way they came
	Reason  string        // why it waits, or did not succeed
	Cause   string        // the name of the error that ended it, such as "no_space": for Err
	Request Request
	Undoes  string // the run that this run takes back, or ""
	Cancel  *By    // who asked to stop it, or nil
	Apply   *By    // who asked not to wait for the Gate, or nil
	Owner   string // the process that works on it, for people

	CreatedAt, UpdatedAt, EndedAt time.Time // UTC, by the engine's clock
}

// Err returns nil for a run that succeeded or goes on, and for one that took
// another back. For any other it returns an error that is ErrFailed or
// ErrCancelled, carries Reason and, after a restart too, is the error that
// ended the run: ErrNoSpace, ErrCorrupt ...
func (r Run) Err() error {
	switch {
	case r.State == StateCancelled:
		return causes.Err(ErrCancelled, r.Cause, r.Reason)
	case r.State == StateFailed, r.State == StateRolledBack && r.Undoes == "":
		return causes.Err(ErrFailed, r.Cause, r.Reason)
	}
	return nil
}

// Clone returns a copy that shares nothing with r that could change.
func (r Run) Clone() Run {
	r.Release = r.Release.Clone()
	r.Pulled = maps.Clone(r.Pulled)
	r.Cancel, r.Apply = clone(r.Cancel), clone(r.Apply)
	return r
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// Plan is what an update would do.
type Plan struct {
	ID       string // for Request.Plan: the same as long as image and release are
	From     string
	Release  Release
	UpToDate bool          // its image runs: there is nothing to do
	Pull     map[Way]int64 // bytes to pull, if the cheapest ways are there; of chunks only their lists
}

// EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventChecked    EventKind = "checked"    // of no run
	EventConfigured EventKind = "configured" // of no run
	EventStarted    EventKind = "started"
	EventState      EventKind = "state" // the run, or the device, is in another one
	EventProgress   EventKind = "progress"
	EventRetry      EventKind = "retry"
	EventLog        EventKind = "log"
	EventCancel     EventKind = "cancel"    // somebody asked to stop the run
	EventApply      EventKind = "apply"     // somebody asked not to wait
	EventRecovered  EventKind = "recovered" // taken up after a restart, or from a dead process
	EventEnded      EventKind = "ended"     // once for each run; of a success, only after Confirm
	EventCorrupt    EventKind = "corrupt"   // what it said cannot be read any more; only Seq, Time and Run are known
)

// Event is something that happened to a run, or to the device.
type Event struct {
	Seq     int64     // greater than that of every earlier event of the device
	Time    time.Time // UTC, by the engine's clock
	Run     string    // "" for an event of no run
	Kind    EventKind
	State   State       // of the run, after the event
	Device  DeviceState // after the event
	Percent int
	Actor   string // who asked, where somebody did
	Message string
}

// Status is the present of the device.
type Status struct {
	State    DeviceState
	Info     string // more about State, for people: why the device is unavailable, what it waits for
	Version  string // of the running image
	OSName   string
	Run      *Run // the live run, or nil; on StateTrial it waits for Confirm
	Last     *Run // the last one that ended, or nil
	Disabled bool
	Settings Settings
	Check    Check
	Catalog  Catalog // as last verified
	Newest   Release // of it, for this device and channel; zero if there is none
	UpToDate bool    // nothing newer is offered to this device
}

// Check is the last check: the record that is kept.
type Check struct {
	Time   time.Time // UTC, by the device's clock; zero before the first
	Reason string    // why it failed, or ""
	Cause  string    // the name of the error: for Err
}

// Err returns nil for a check that went well, and else the error that it was,
// with Reason: ErrUnavailable, ErrSignature, ErrReplayed, ErrExpired ...
func (c Check) Err() error {
	if c.Reason == "" {
		return nil
	}
	return causes.Err(nil, c.Cause, c.Reason)
}

// Query selects runs. The zero Query selects all.
type Query struct {
	Live      bool   // only runs that are not done
	RequestID string // only the run with this Request.By.RequestID
	After     string // only runs that follow the run with this id in the list
}
