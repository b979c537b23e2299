package lv

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// VersionStore keeps versions, pointers, releases and strategies. Every write
// is atomic, durable when it returns, idempotent by Meta.RequestID, and
// appends its event in the same transaction. Package lvtest checks
// implementations.
type VersionStore interface {
	// Write applies edits to working rows, all or none, and returns the
	// versions in their order. OpForget of a version that is referred to is
	// ErrConflict.
	Write(ctx context.Context, t TableID, edits []Edit, by Meta) ([]Version, error)
	// PutRelease creates a release (ID 0) or replaces one whose Rev is
	// r.Rev, else ErrConflict. If r.State is ReleaseApplied its changes happen in
	// the same transaction: a Change whose Expect does not hold is a
	// *ConflictError, and a release that would move nothing is not recorded:
	// the one that moved there last is returned. It is the only way in which
	// published state changes.
	PutRelease(ctx context.Context, t TableID, r Release, by Meta) (Release, error)
	// Rows yields the rows of a view by rising id. View.For is not its
	// business. A Status costs its result, not the table.
	Rows(ctx context.Context, t TableID, v View) iter.Seq2[Row, error]
	// Versions yields versions, newest first.
	Versions(ctx context.Context, t TableID, q Query) iter.Seq2[Version, error]
	// Releases yields releases, newest first.
	Releases(ctx context.Context, t TableID, q Query) iter.Seq2[Release, error]
	// Tables yields what there is of the tables named, or of all, in the order
	// of their names. A table nobody has written to is left out.
	Tables(ctx context.Context, ids ...TableID) iter.Seq2[TableInfo, error]
	// PutStrategy creates, replaces or, if s.Deleted, deletes a strategy,
	// by compare-and-set on Rev.
	PutStrategy(ctx context.Context, t TableID, s Strategy, by Meta) (Strategy, error)
	// Watch keeps the promise of Service.Watch.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// TableInfo is a table but for its rows.
type TableInfo struct {
	ID         TableID
	Seq        int64      // of the last event of the table: Rows with AsOf Seq is this state
	Envs       []Env      // grays that somebody has published to, by name
	Strategies []Strategy // in the order in which they are tried, without deleted ones
}

// Edit changes a working row.
type Edit struct {
	Op      Op
	Row     string          // for OpSave and OpDelete
	Content json.RawMessage // for OpSave
	Version VersionID       // for OpRollback and OpForget
}

// Change moves the pointer of one row in an environment.
type Change struct {
	ID     string
	From   VersionID  // set by the store when applied
	To     VersionID  // 0: none; a gray then follows Production
	Expect *VersionID // if set, the pointer must be this, or ErrConflict
	// Working: To is the working row's version at the moment of the
	// transaction; it is set by the store. For a release that is applied at
	// once.
	Working bool
	// Content is that of To, nil for a deletion: in events only.
	Content json.RawMessage
}

// Release is a list of pointer moves that happen together.
type Release struct {
	ID        int64
	Env       Env
	State     ReleaseState
	Changes   []Change
	Desc      string
	Actor     string
	Approver  string
	At        time.Time // when it is due
	Reverts   int64     // the release this one takes back
	CreatedAt time.Time // UTC, by the engine's clock
	AppliedAt time.Time
	Seq       int64 // of the event that applied it
	Rev       int64
}

// ReleaseState says how far a release has come.
type ReleaseState string

// Publish, Release, Reset and Revert make releases that are applied at once.
const (
	ReleaseDraft     ReleaseState = "draft"
	ReleaseApproved  ReleaseState = "approved"
	ReleaseScheduled ReleaseState = "scheduled"
	ReleaseApplied   ReleaseState = "applied"
	ReleaseFailed    ReleaseState = "failed" // a scheduled one met a conflict
	ReleaseCancelled ReleaseState = "cancelled"
)
