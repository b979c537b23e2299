package lv

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/internal/feed"
)

// Table is the rows of one (app, schema).
type Table struct {
	ID TableID

	service *Service
	root    atomic.Pointer[root] // nil until somebody asks
	asked   atomic.Bool          // whether somebody has
	loading chan struct{}        // taken by who reads the table
	missed  []Event              // what came while it is read; the applier's
	changed feed.Notice          // of the root
}

// Get returns one row, or ErrNotFound. What Production or a gray shows now
// comes from memory: it does not allocate, and its Content is shared by all
// readers, who must not change it.
func (t *Table) Get(ctx context.Context, row string, v View) (Row, error) {
	if r := t.root.Load(); r != nil && v.public() {
		if e := r.find(Production, v.For, row); e.shows() && !e.Corrupt {
			return e.Row, nil
		}
	}
	if v.stored() {
		return t.getStored(ctx, row, v)
	}
	e, err := t.find(ctx, row, &v)
	if err != nil {
		return Row{}, err
	}
	return e.Row, nil
}

// damaged returns the error of a row that is Corrupt.
func (t *Table) damaged(row Row) error {
	if !row.Corrupt {
		return nil
	}
	return &CorruptError{Table: t.ID, Row: row.ID, Version: row.Version}
}

func (t *Table) getStored(ctx context.Context, id string, v View) (Row, error) {
	v.Rows, v.After = []string{id}, ""
	for row, err := range t.Rows(ctx, v) {
		if err != nil {
			return Row{}, err
		}
		return row, nil
	}
	return Row{}, fmt.Errorf("%w: row %q", ErrNotFound, id)
}

// public reports that the view is what everybody asks for.
func (v *View) public() bool {
	return v.Env == Production && !v.stored() && !v.Deleted && v.Status == StatusAny
}

// stored reports that memory does not have what the view shows.
func (v *View) stored() bool {
	return v.Working || v.AsOf != 0 || v.Own && v.Env == Production
}

// find returns one row of a view that memory has.
func (t *Table) find(ctx context.Context, id string, v *View) (*entry, error) {
	if err := v.Check(); err != nil {
		return nil, err
	}
	r := t.root.Load()
	if r == nil {
		var err error
		if r, err = t.current(ctx); err != nil {
			return nil, err
		}
	}
	if e := r.view(v, id); e != nil {
		return e, t.damaged(e.Row)
	}
	return nil, fmt.Errorf("%w: row %q", ErrNotFound, id)
}

// view returns one row of a view, or nil.
func (r *root) view(v *View, id string) *entry {
	if v.Own {
		return r.own(v.Env, id)
	}
	if e := r.find(v.Env, v.For, id); e.shows() {
		return e
	}
	return nil
}

// Rows yields the rows of a view by rising id, all from one moment. What is
// said of Content at Get holds here too. A deletion that a View with Own shows
// has no Content. A row whose content is damaged comes with a *CorruptError, in
// its place, and the list goes on after it; any other error is the end.
func (t *Table) Rows(ctx context.Context, v View) iter.Seq2[Row, error] {
	if !v.stored() {
		return func(yield func(Row, error) bool) {
			for e, err := range t.entries(ctx, v) {
				if e == nil {
					yield(Row{}, err)
					return
				}
				if !yield(e.Row, err) {
					return
				}
			}
		}
	}
	if err := v.Check(); err != nil {
		return func(yield func(Row, error) bool) { yield(Row{}, err) }
	}
	return t.sound(ctx, v)
}

// entries is Rows for a view that memory has.
func (t *Table) entries(ctx context.Context, v View) iter.Seq2[*entry, error] {
	return func(yield func(*entry, error) bool) {
		err := v.Check()
		var r *root
		if err == nil {
			r, err = t.current(ctx)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for e := range r.rows(v) {
			if !yield(e, t.damaged(e.Row)) {
				return
			}
		}
	}
}

func (r *root) rows(v View) iter.Seq[*entry] {
	switch {
	case v.Rows != nil:
		return func(yield func(*entry) bool) {
			for _, id := range v.Rows {
				if e := r.view(&v, id); e != nil && id > v.After && !yield(e) {
					return
				}
			}
		}
	case v.Own:
		return r.grays[v.Env].after(v.After)
	}
	return r.all(v.Env, v.For, v.After)
}

// Seq returns the event whose state Production and the grays show: it rises
// with every release and strategy of the table. What is read after it is this
// state or a later one.
func (t *Table) Seq(ctx context.Context) (int64, error) {
	r, err := t.current(ctx)
	if err != nil {
		return 0, err
	}
	return r.seq, nil
}

// Tag names the state that Production and the grays show, for an ETag: it is
// the event of Seq and its time. So another state has another name, even if
// the store has begun anew or was restored and counts the same events again.
// The same state may have two, before and after a restart or in two processes.
func (t *Table) Tag(ctx context.Context) (string, error) {
	r, err := t.current(ctx)
	if err != nil {
		return "", err
	}
	at := int64(0)
	if !r.time.IsZero() {
		at = r.time.UnixMilli()
	}
	return strconv.FormatInt(r.seq, 10) + "-" + strconv.FormatInt(at, 36), nil
}

// Envs returns the grays that somebody has published to, by name.
func (t *Table) Envs(ctx context.Context) ([]Env, error) {
	r, err := t.current(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(r.grays)), nil
}

// History yields versions, newest first. One whose content is damaged comes with
// a *CorruptError, and the list goes on after it; any other error is the end.
func (t *Table) History(ctx context.Context, q Query) iter.Seq2[Version, error] {
	return t.soundVersions(ctx, q)
}

// Releases yields releases, drafted ones included, newest first.
func (t *Table) Releases(ctx context.Context, q Query) iter.Seq2[Release, error] {
	return t.service.config.VersionStore.Releases(ctx, t.ID, q)
}

// Save writes the working row. The same content makes no new version.
func (t *Table) Save(ctx context.Context, row string, content json.RawMessage, by By) (Version, error) {
	return t.edit(ctx, Edit{Op: OpSave, Row: row, Content: content}, by)
}

// Delete deletes the working row. Releasing the version it returns publishes
// the deletion.
func (t *Table) Delete(ctx context.Context, row string, by By) (Version, error) {
	return t.edit(ctx, Edit{Op: OpDelete, Row: row}, by)
}

// Restore writes the content of an older version to the working row, which it
// undeletes. What is published does not move. It is rollback of the document.
func (t *Table) Restore(ctx context.Context, version VersionID, by By) (Version, error) {
	return t.edit(ctx, Edit{Op: OpRestore, Version: version}, by)
}

func (t *Table) edit(ctx context.Context, e Edit, by By) (Version, error) {
	versions, err := t.Edit(ctx, by, e)
	if err != nil {
		return Version{}, err
	}
	return versions[0], nil
}

// Edit does several edits in their order, all or none, and returns the version
// that each has left. Rows that are not at what the edits expect are a
// *ConflictError that lists them.
func (t *Table) Edit(ctx context.Context, by By, edits ...Edit) (versions []Version, err error) {
	if err := CheckEdits(edits); err != nil {
		return nil, err
	}
	err = t.writes(ctx, by, func(ctx context.Context) (int64, error) {
		versions, err = t.service.config.VersionStore.Write(ctx, t.ID, slices.Clone(edits), by)
		return 0, err // readers of memory do not see working rows
	})
	return versions, err
}
