package lv

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Store is an engine that keeps what a Service needs, such as a *memory.DB, a
// *sqlite.DB or a *postgres.DB.
type Store interface{ Versions() VersionStore }

// VersionStore keeps versions, pointers, releases and strategies. Every write
// is atomic, durable when it returns, and idempotent by By.RequestID within
// its table, where one that another kind of write was asked with is ErrStale;
// it appends one event in the same transaction, or none if it changes nothing.
// What is refused writes nothing and can be asked again.
// Implementations are safe for concurrent use, and by many processes when
// their state lives outside the process. What they return is the caller's to
// change; ids, contents and texts come back byte by byte, times in UTC and
// whole milliseconds. What CheckWrite, CheckEdits, Release.Check and View.Check
// say is ErrInvalid is so in every engine. Package lvtest checks implementations.
//
// A content that is not the one of its Digest any more is never returned, nor
// published, restored or taken for the same as another: that is a
// *CorruptError. Rows and Versions yield it with the rest of the row or version
// and go on; after any other error a list stops. In an event it is a Moved that is
// Corrupt. A strategy that cannot be read is listed as Corrupt.
type VersionStore interface {
	// Write applies edits to working rows in their order, all or none, and
	// returns the version that each has left or forgotten: the one that was
	// there if it says the same. A row that never was, and a version of
	// another table, are ErrNotFound; an OpRestore of a deletion, no edits
	// and an edit of no row are ErrInvalid. If nothing else is wrong, edits whose
	// Expect does not hold are a *ConflictError that lists them all. OpForget
	// of a version that a pointer, a working row, a strategy or a drafted
	// release refers to is ErrStale, and so is that of one from which an
	// applied release moved a pointer, if all pointers that it moved are where
	// it moved them. OpForget appends no event.
	Write(ctx context.Context, t TableID, edits []Edit, by By) ([]Version, error)
	// PutRelease creates a release (ID 0) or replaces one whose Rev is
	// r.Rev, else ErrStale; ErrTooLate once that is applied, failed or
	// cancelled, ErrNotFound if there is none. Changes that name a row twice,
	// or none, are ErrInvalid; a row that never was, and a To that is no
	// version of its row, are ErrNotFound. If r.State is ReleaseApplied its
	// changes happen in the same transaction: Changes whose Expect does not hold
	// are a *ConflictError that lists them all, and a new release that would
	// move nothing is not recorded: the one that moved any of these pointers
	// last is returned, or the zero Release. It is the only way in which
	// published state changes.
	PutRelease(ctx context.Context, t TableID, r Release, by By) (Release, error)
	// Rows yields the rows of a view by rising id, all from one moment.
	// View.For is not its business. A Status, or Deleted, costs its result, not
	// the table. With Deleted it yields each working row that is a deletion if
	// Production, a gray or a strategy, a disabled one too, points at a version
	// of the row that is none. A Status, or Deleted, of other rows than the working rows of now is
	// ErrInvalid; an AsOf that is not yet is ErrNotFound.
	Rows(ctx context.Context, t TableID, v View) iter.Seq2[Row, error]
	// Versions yields versions, newest first. One that Query.ID asks for is not
	// looked for in the history.
	Versions(ctx context.Context, t TableID, q Query) iter.Seq2[Version, error]
	// Releases yields releases, newest first. One that Query.ID asks for is not
	// looked for in the history. With a Query.RequestID it yields what PutRelease
	// returned to this request first, whatever has become of it; nothing if it
	// returned no release, or if the request was a write or a strategy's.
	Releases(ctx context.Context, t TableID, q Query) iter.Seq2[Release, error]
	// Tables yields what there is of the tables named, or of all if ids is
	// nil, in the order of their names. A table nobody has written to is left
	// out.
	Tables(ctx context.Context, ids ...TableID) iter.Seq2[TableInfo, error]
	// PutStrategy creates a strategy (ID 0) or replaces one, or deletes it if
	// s.Deleted, whose Rev is s.Rev, else ErrStale; ErrNotFound if there is
	// none, if it is deleted, or if Target is no version of the table. Rules
	// are not its business.
	PutStrategy(ctx context.Context, t TableID, s Strategy, by By) (Strategy, error)
	// Watch keeps the promise of Service.Watch. A closed engine ends it with
	// its error; ErrCompacted says that events after this one are forgotten.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// TableInfo is a table but for its rows.
type TableInfo struct {
	ID         TableID
	History    string     // names the history of the store: another one after a restore; "" if that is not known
	Seq        int64      // of the last event of the table: Rows with AsOf Seq is this state
	Time       time.Time  // of that event, UTC; zero if it is no longer kept
	Envs       []Env      // grays that somebody has published to, by name
	Strategies []Strategy // in the order in which they are tried, without deleted ones
}

// Edit changes a working row.
type Edit struct {
	Op      Op
	Row     string          // for OpSave and OpDelete
	Content json.RawMessage // for OpSave
	Version VersionID       // for OpRestore and OpForget
	// Expect, if set, is the version that the row was at before the call, so
	// that nobody overwrites what they have not seen; 0: there was no such
	// row, or it was deleted.
	Expect *VersionID
}

// Change moves the pointer of one row in an environment.
type Change struct {
	Row    string
	From   VersionID  // set by the store when applied
	To     VersionID  // 0: none; a gray then follows Production
	Expect *VersionID // if set, the pointer must be this, or it is a *ConflictError
	// After is for Table.Draft: Expect becomes what this release leaves the row
	// at. Stores do not keep it.
	After int64
	// Working: To is the working row's version at the moment of the
	// transaction; it is set by the store. Table.Draft pins the version that
	// there is when it is called.
	Working bool
}

// Any is for the Expect of a Change that Table.Draft is given: whatever is
// there when the release is applied.
const Any VersionID = -1

// Release is a list of pointer moves that happen together.
type Release struct {
	ID        int64
	Env       Env
	State     ReleaseState
	Changes   []Change
	By        By // who made it, and why; set by the store
	Last      By // who wrote it last, and why: made, approved, scheduled, applied or cancelled it; set by the store
	Approver  string
	At        time.Time // when it is due
	Reverts   int64     // the release this one takes back
	CreatedAt time.Time // this and what follows is set by the store
	AppliedAt time.Time // UTC, by the engine's clock
	Seq       int64     // of the event that applied it
	Rev       int64     // 1, then the next with every write
}

// ReleaseState says how far a release has come.
type ReleaseState string

// Publish, Release, Reset and Revert make releases that are applied at once.
const (
	ReleaseDraft     ReleaseState = "draft"
	ReleaseApproved  ReleaseState = "approved"
	ReleaseScheduled ReleaseState = "scheduled"
	ReleaseApplied   ReleaseState = "applied"
	ReleaseFailed    ReleaseState = "failed" // a scheduled one met a conflict, or a damaged content
	ReleaseCancelled ReleaseState = "cancelled"
)

// Valid reports whether there is such a state.
func (s ReleaseState) Valid() bool {
	return s.Done() || s == ReleaseDraft || s == ReleaseApproved || s == ReleaseScheduled
}

// Done reports whether the state is final.
func (s ReleaseState) Done() bool {
	return s == ReleaseApplied || s == ReleaseFailed || s == ReleaseCancelled
}
