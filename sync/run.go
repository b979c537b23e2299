package sync

import (
	"fmt"
	"time"
)

// State says how far a run has come.
type State string

// A run is running, then one of the others for ever.
const (
	StateRunning   State = "running"
	StateSucceeded State = "succeeded" // but for Status.Problems
	StateCancelled State = "cancelled"
	StateFailed    State = "failed"
)

// Done reports whether the state is final.
func (s State) Done() bool {
	return s == StateSucceeded || s == StateCancelled || s == StateFailed
}

// Step is a part of a run.
type Step string

// The steps, in order.
const (
	StepScan     Step = "scan"
	StepMerge    Step = "merge"
	StepUpload   Step = "upload"
	StepDownload Step = "download"
	StepApply    Step = "apply"
	StepCompact  Step = "compact"
)

// Kind says what a run is for.
type Kind string

// The kinds of runs.
const (
	KindSync    Kind = "sync"
	KindRestore Kind = "restore"
	KindCompact Kind = "compact"
	KindRepair  Kind = "repair"
)

// Run is one piece of work on the folder: the record that is kept.
type Run struct {
	ID       string
	Seq      int64 // of its first event: Watch(ctx, Seq-1) starts with it
	Kind     Kind
	Boot     bool // the first sync of Folder.Run
	State    State
	Step     Step
	Percent  int // 0 to 100, of the bytes to move; never falls
	Progress Progress
	Reason   string          // why it did not succeed
	Cause    string          // the name of the error that ended it, such as "guard": for Err
	Request  Request         // of any Kind: its By
	Restore  *RestoreRequest // of KindRestore
	Keep     *Retention      // of KindCompact
	Cancel   *By             // who asked to stop it, or nil
	Owner    string          // the process that works on it, for people

	Uploaded, Downloaded, Deleted, Conflicts int // files
	Compaction                               *Compaction
	Commit                                   string // what the folder equals now

	// UTC, by the clock of the process that worked on it.
	CreatedAt, UpdatedAt, EndedAt time.Time
}

// Err returns nil for a run that succeeded or goes on. For any other it returns
// an error that is ErrFailed or ErrCancelled, carries Reason and, after a restart
// too, is the error that ended the run: ErrGuard, ErrForked, ErrUnavailable ...
func (r Run) Err() error {
	switch r.State {
	case StateFailed:
		return causes.Err(ErrFailed, r.Cause, r.Reason)
	case StateCancelled:
		return causes.Err(ErrCancelled, r.Cause, r.Reason)
	}
	return nil
}

// Progress is how far a step has come. A file that is uploaded is done when it was
// read, its bytes as they go.
type Progress struct {
	Files, AllFiles int64 // or objects, of a compaction that deletes
	Bytes, AllBytes int64
}

// Plan is what a sync would do.
type Plan struct {
	ID       string // for Request.Plan: the same as long as both sides are
	Request  Request
	Base     string // commit that the folder equalled last, "" for none
	Head     string // newest commit of the remote, "" for none
	Guard    string // why a sync without this plan is refused, or ""
	Actions  []Action
	Problems []Problem
}

// Action is what happens to one file.
type Action struct {
	Kind ActionKind
	Path string
	From string // of a rename and of ActionConflict: the other name
	Size int64  // bytes
}

// String is an action in words, such as "download diary.md (3 kB)".
func (a Action) String() string {
	text := string(a.Kind) + " " + a.Path
	if a.From != "" {
		text = string(a.Kind) + " " + a.From + " to " + a.Path
	}
	switch {
	case a.Size == 1:
		return text + " (1 byte)"
	case a.Size >= 10_000_000:
		return fmt.Sprintf("%s (%d MB)", text, a.Size/1_000_000)
	case a.Size >= 10_000:
		return fmt.Sprintf("%s (%d kB)", text, a.Size/1000)
	}
	return fmt.Sprintf("%s (%d bytes)", text, a.Size)
}

// ActionKind says what happens to a file, and on which side.
type ActionKind string

// The kinds of actions.
const (
	ActionUpload       ActionKind = "upload"
	ActionDownload     ActionKind = "download"
	ActionDeleteRemote ActionKind = "delete_remote"
	ActionDeleteLocal  ActionKind = "delete_local"
	ActionRenameRemote ActionKind = "rename_remote"
	ActionRenameLocal  ActionKind = "rename_local"
	ActionMerge        ActionKind = "merge"
	ActionConflict     ActionKind = "conflict" // both are kept
)

// EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventStarted    EventKind = "started"
	EventStep       EventKind = "step" // the run begins one
	EventProgress   EventKind = "progress"
	EventRetry      EventKind = "retry"
	EventLog        EventKind = "log"
	EventCancel     EventKind = "cancel"    // somebody asked to stop the run
	EventRecovered  EventKind = "recovered" // taken over from a dead process
	EventEnded      EventKind = "ended"
	EventConfigured EventKind = "configured" // of no run
	EventCorrupt    EventKind = "corrupt"    // what it said cannot be read any more; only Seq, Time and Run are known
)

// Event is something that happened to a run, or to the folder.
type Event struct {
	Seq      int64     // greater than that of every earlier event of the store
	Time     time.Time // UTC, by the engine's clock
	Run      string    // "" for an event of no run
	Kind     EventKind
	State    State // of the run, after the event
	Step     Step
	Percent  int
	Progress Progress
	Path     string
	Actor    string // who asked, where somebody did
	Message  string
}

// Status is the present of the folder.
type Status struct {
	Name, Device string
	Run          *Run      // the live run, or nil
	Last         *Run      // the last one that ended, or nil
	Commit       string    // what the folder equalled, in the remote of Settings
	SyncedAt     time.Time // when; UTC, by this device's clock; zero for never
	Gate         string    // why it leaves syncs out, or ""
	Conflicts    int       // copies that are there
	Problems     []Problem // files that this device cannot hold, at most 1,000
	Devices      []Device
	Settings     Settings
}

// Problem is a file that stays as it is on all other devices.
type Problem struct{ Path, Reason string }

// Device is a device that has committed.
type Device struct {
	Name   string
	Cloned bool   // two of them have one identity: one should start Fresh, under a name of its own
	Commit string // its last one
}

// Query selects runs. The zero Query selects all.
type Query struct {
	Live      bool   // only runs that are not done
	RequestID string // only the run with this Request.By.RequestID
	After     string // only runs that follow the run with this id in the list
}
