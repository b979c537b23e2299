package lv

import (
	"encoding/json"
	"time"
)

// TableID names a table: appid and schemaid of the document.
type TableID struct{ App, Schema string }

// VersionID names a version. Greater is newer.
type VersionID int64

// Env is an environment: Production or the id of a gray.
type Env string

// Production is what the public sees.
const Production Env = ""

// Op says what a version did to its row.
type Op string

// What a version can do.
const (
	OpSave    Op = "save"
	OpDelete  Op = "delete"   // the version has no content
	OpRestore Op = "rollback" // the content is Source's; rollback of the document
	OpForget  Op = "forget"   // in an Edit only: drop an unreferenced version
)

// Version is one state of a row.
type Version struct {
	ID      VersionID
	Row     string
	Op      Op
	Content json.RawMessage // nil for OpDelete
	Source  VersionID       // for OpRestore
	By      By              // who wrote it
	Time    time.Time       // UTC, by the engine's clock
	Live    []Env           // environments that point here now
}

// Row is a row as a View shows it.
type Row struct {
	ID                   string
	Version              VersionID
	Content              json.RawMessage // as it was saved; number literals are kept
	Status               Status          // of a working row as it is now; else StatusAny
	CreatedAt, UpdatedAt time.Time       // of the row's first version, and of this one
	Corrupt              bool            // the content is damaged, and left out: what comes with it is ErrCorrupt
}

// Status compares the working row with production, by content and not by time.
type Status int

// The statuses of the document.
const (
	StatusAny       Status = 0 // in a View: do not select by status
	StatusPublished Status = 1 // same as production
	StatusChanged   Status = 2 // never published, edited since, or restored
)

// View says which rows, as whom and when. The zero View is Production, now.
type View struct {
	Working bool       // the working rows, in place of Env
	Env     Env        // default Production
	For     Attributes // a visitor, to whom strategies apply; nil is nobody. Not of working rows, Own or AsOf
	AsOf    int64      // as after the event with this Seq; 0 is now; ErrCompacted if it or a version it shows is forgotten
	Status  Status     // of the working rows
	Own     bool       // only what Env points at itself, deletions included
	Deleted bool       // with Working: the deletions of rows that an environment or a strategy still shows: see Table.Shown
	Rows    []string   // only these, in this order; missing ones are left out. Nil is all rows, empty is none
	After   string     // only rows whose id is greater
}

// Query selects from a history. The zero Query selects all.
type Query struct {
	Row   string // only what concerns this row
	After int64  // only what follows the entry with this id, or its place, in the list: smaller ids
	ID    int64  // only the entry with this id
	// State selects releases. It costs its result, not the history.
	State ReleaseState
	// RequestID selects the release that this request was answered, as it was
	// in that first answer, whatever else the Query says. Versions have none.
	RequestID string
}

// By says who changes something, and why.
type By struct {
	// Actor and RequestID have at most 1,024 bytes, as have the names of tables,
	// rows and environments; all three are UTF-8 without a zero byte.
	//
	// Actor may be empty in a program. It is required of a release that is
	// drafted, as another must approve it: Draft, Approve, Schedule, Apply and
	// Cancel. It is Staffname of the document, as Reason is its desc.
	Actor  string
	Reason string
	// RequestID, if set, makes a call that is repeated with it return the first
	// answer, however much later and whatever has happened since: the store
	// keeps the answers of a table for good, as it keeps releases. Only a version
	// that has been forgotten may be ErrCompacted.
	RequestID string
}

// EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventSaved    EventKind = "saved"    // a working row changed
	EventReleased EventKind = "released" // pointers moved
	EventDraft    EventKind = "planned"  // a release was drafted, approved, scheduled or cancelled, or has failed
	EventStrategy EventKind = "strategy" // a strategy changed
)

// Moved is a row that an event is about: its pointer in the environment, or its
// working row, was at the version From and is at To; 0 is none.
type Moved struct {
	Row      string
	From, To VersionID
	// What the row with To is, as Rows would yield it. The content of a
	// deletion, and all of it if To is 0, is zero.
	Content              json.RawMessage
	CreatedAt, UpdatedAt time.Time
	Corrupt              bool // the content is damaged, and left out
}

// Event is something that happened to a table.
type Event struct {
	Seq     int64     // rises with every event of the store; for Watch and View.AsOf
	Time    time.Time // UTC, by the engine's clock
	Table   TableID
	Kind    EventKind
	Env     Env
	Release int64
	// Rows is what moved, in the order of the call: for EventSaved working
	// rows, for EventReleased pointers, with the From that was there. It is
	// empty for EventDraft. For EventStrategy it is the Target.
	Rows []Moved
	// Strategy is what EventStrategy left, Deleted included.
	Strategy *Strategy
	Actor    string
}
