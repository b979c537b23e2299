package lv

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Table is the rows of one (app, schema).
type Table struct {
	ID      TableID
	service *Service
}

// Get returns one row, or ErrNotFound. From memory it does not allocate.
func (t *Table) Get(ctx context.Context, id string, v View) (Row, error) { panic("sketch") }

// Rows yields the rows of a view by rising id, all from one moment.
func (t *Table) Rows(ctx context.Context, v View) iter.Seq2[Row, error] { panic("sketch") }

// History yields versions, newest first.
func (t *Table) History(ctx context.Context, q Query) iter.Seq2[Version, error] { panic("sketch") }

// Releases yields releases, planned ones included, newest first.
func (t *Table) Releases(ctx context.Context, q Query) iter.Seq2[Release, error] { panic("sketch") }

// Save writes the working row. The same content makes no new version.
func (t *Table) Save(ctx context.Context, id string, content json.RawMessage, by Meta) (Version, error) {
	panic("sketch")
}

// Delete deletes the working row. Releasing the version it returns publishes
// the deletion.
func (t *Table) Delete(ctx context.Context, id string, by Meta) (Version, error) { panic("sketch") }

// Rollback writes the content of an older version to the working row, which
// it undeletes. What is published does not move.
func (t *Table) Rollback(ctx context.Context, id VersionID, by Meta) (Version, error) {
	panic("sketch")
}

// Publish points env at the working rows with these ids, deletions included,
// all or none. The first publication to a gray makes it.
func (t *Table) Publish(ctx context.Context, env Env, by Meta, ids ...string) (Release, error) {
	panic("sketch")
}

// Release points env at existing versions, all or none; working rows stay as
// they are. The deletion of a row that has been saved again is ErrConflict.
// When nothing would move it returns the release that was there.
func (t *Table) Release(ctx context.Context, env Env, by Meta, versions ...VersionID) (Release, error) {
	panic("sketch")
}

// Reset makes rows of a gray follow Production again, all or none.
func (t *Table) Reset(ctx context.Context, gray Env, by Meta, ids ...string) (Release, error) {
	panic("sketch")
}

// Revert puts back what an applied release moved, whole. Pointers that have
// moved since are a *ConflictError that lists them.
func (t *Table) Revert(ctx context.Context, release int64, by Meta) (Release, error) {
	panic("sketch")
}

// Plan records a change list: Env, Changes and Desc of r. Its versions are
// pinned: later edits do not change it.
func (t *Table) Plan(ctx context.Context, r Release, by Meta) (Release, error) { panic("sketch") }

// Approve approves a planned release, as Config.Approve allows.
func (t *Table) Approve(ctx context.Context, release int64, by Meta) (Release, error) {
	panic("sketch")
}

// Schedule makes Run apply an approved release at a time of the engine's clock.
func (t *Table) Schedule(ctx context.Context, release int64, at time.Time, by Meta) (Release, error) {
	panic("sketch")
}

// Apply applies an approved release now.
func (t *Table) Apply(ctx context.Context, release int64, by Meta) (Release, error) { panic("sketch") }

// Cancel gives up a release that is not applied. ErrTooLate if it is.
func (t *Table) Cancel(ctx context.Context, release int64, by Meta) error { panic("sketch") }

// Strategies returns the strategies in the order in which they are tried.
func (t *Table) Strategies(ctx context.Context) ([]Strategy, error) { panic("sketch") }

// SaveStrategy creates a strategy, or replaces the one with its ID if Rev
// still is the stored one; else ErrConflict.
func (t *Table) SaveStrategy(ctx context.Context, s Strategy, by Meta) (Strategy, error) {
	panic("sketch")
}

// DeleteStrategy deletes a strategy. One that is gone is not an error.
func (t *Table) DeleteStrategy(ctx context.Context, id int64, by Meta) error { panic("sketch") }
