package sqlstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/upkeep-go/upkeep/lv"
)

// States of a row: what the working row shows, compared with production; that
// of a deletion, with whatever shows the row.
const (
	lvSame    = 1
	lvChanged = 2
	lvDeleted = 3 // only an environment or a strategy shows the row
	lvGone    = 4 // nobody shows it
)

// lvState compares by digests; nil shows nothing. It does not know of grays
// and strategies, so that a deletion has to be judged.
func lvState(working, live []byte) int64 {
	switch {
	case working != nil && live != nil && bytes.Equal(working, live):
		return lvSame
	case working != nil:
		return lvChanged
	case live != nil:
		return lvDeleted
	}
	return lvGone
}

const (
	// lvRowFind finds one line for a row that never was too.
	lvRowFind = `
SELECT coalesce(r.created_ms, 0), coalesce(r.working, 0), w.digest, coalesce(r.live, 0), l.digest,` + lvHead + `
FROM (SELECT 1) AS one
LEFT JOIN upkeep_lv_row r ON r.tbl = ?1 AND r.name = ?2
LEFT JOIN upkeep_lv_version w ON w.id = r.working
LEFT JOIN upkeep_lv_version l ON l.id = r.live`

	lvRowPut = `
INSERT INTO upkeep_lv_row (tbl, name, created_ms, state, working, live) VALUES (?1, ?2, ?3, ?4, ?5, 0)
ON CONFLICT (tbl, name) DO UPDATE SET state = excluded.state, working = excluded.working`

	// lvDeletionJudge costs the environments of the table, and the versions of the
	// row, not the strategies of the table.
	lvDeletionJudge = `
UPDATE upkeep_lv_row SET state = CASE WHEN EXISTS (
	SELECT 1 FROM upkeep_lv_version v WHERE v.name = ?2 AND v.digest IS NOT NULL AND v.id IN (
		SELECT r.live FROM upkeep_lv_row r WHERE r.tbl = ?1 AND r.name = ?2
		UNION ALL SELECT g.version FROM upkeep_lv_env e CROSS JOIN upkeep_lv_gray g
			WHERE e.tbl = ?1 AND g.tbl = ?1 AND g.env = e.name AND g.name = ?2
		UNION ALL SELECT y.target FROM upkeep_lv_version o CROSS JOIN upkeep_lv_strategy y
			WHERE o.tbl = ?1 AND o.name = ?2 AND y.target = o.id AND y.deleted = 0)) THEN 3 ELSE 4 END
WHERE tbl = ?1 AND name = ?2 AND state IN (3, 4)`

	lvSourceFind = `
SELECT s.name, s.digest, s.body, b.content
FROM upkeep_lv_version s LEFT JOIN upkeep_lv_version b ON b.id = s.body
WHERE s.id = ?2 AND s.tbl = ?1 AND s.forgotten = 0`

	lvVersionInsert = `
INSERT INTO upkeep_lv_version
	(id, tbl, name, op, source, parent, body, seq, time_ms, forgotten, digest, actor, descr, request, content)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12, ?13, ?14)`
)

// lvEdits is a Write under way: rows as they would be by now, and the versions
// that will make them so. Nothing but OpForget is written before it ends.
type lvEdits struct {
	*lvWriting
	rows    map[string]*lvRow
	order   []*lvRow // those that have changed
	fresh   []*lvFresh
	results []lvResult

	conflicts []lv.Change
}

// lvRow is a row that is being written.
type lvRow struct {
	name          string
	created       int64 // 0: by this write
	working, live int64
	shown         bool   // before the write
	digest        []byte // of working; nil: a deletion
	liveDigest    []byte
	fresh         *lvFresh // what will be the working row, if not working
}

// lvFresh is a version that has no id yet.
type lvFresh struct {
	lv.Version
	row    *lvRow
	parent *lvFresh // nil: the row's working
	body   int64    // 0: its own id, or a deletion
	digest []byte
}

// lvResult is the result of an edit: one of these.
type lvResult struct {
	fresh *lvFresh
	there *lv.Version // or was, if it is forgotten
}

// Write keeps the promise of lv.VersionStore.
func (s *Versions) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	digests, err := lvDigests(edits)
	if err != nil {
		return nil, err
	}
	a, err := s.write(ctx, t, by, func(w *lvWriting) (lvAnswer, error) {
		e := &lvEdits{lvWriting: w, rows: make(map[string]*lvRow)}
		for i, edit := range edits {
			result, err := e.edit(edit, digests[i])
			if err != nil {
				return lvAnswer{}, ofEdit(i, edits, err)
			}
			e.results = append(e.results, result)
		}
		if e.conflicts != nil {
			return lvAnswer{}, &lv.ConflictError{Changes: e.conflicts}
		}
		if err := e.flush(); err != nil {
			return lvAnswer{}, err
		}
		return e.answer(), nil
	})
	if err == nil && a.versions == nil {
		err = errOtherRequest
	}
	if err != nil {
		return nil, lvWhile("writing rows", err)
	}
	return a.versions, nil
}

// lvDigests checks edits and digests what they save, before anybody has to
// wait for that.
func lvDigests(edits []lv.Edit) (digests [][]byte, err error) {
	if err := lv.CheckEdits(edits); err != nil {
		return nil, err
	}
	digests = make([][]byte, len(edits))
	for i, e := range edits {
		if e.Op != lv.OpSave {
			continue
		}
		digest, err := lv.Digest(e.Content)
		if err != nil {
			return nil, ofEdit(i, edits, err)
		}
		digests[i] = digest[:]
	}
	return digests, nil
}

// ofEdit says which of several edits an error is about.
func ofEdit(i int, edits []lv.Edit, err error) error {
	if len(edits) == 1 {
		return err
	}
	return fmt.Errorf("edit %d: %w", i, err)
}

func (e *lvEdits) edit(edit lv.Edit, digest []byte) (lvResult, error) {
	switch edit.Op {
	case lv.OpSave:
		return e.save(edit, digest)
	case lv.OpDelete:
		return e.delete(edit)
	case lv.OpRestore:
		return e.restore(edit)
	default:
		return e.forget(edit)
	}
}

// row returns a row, which may never have been.
func (e *lvEdits) row(name string) (*lvRow, error) {
	if r := e.rows[name]; r != nil {
		return r, nil
	}
	r := &lvRow{name: name}
	dest := append([]any{&r.created, &r.working, &r.digest, &r.live, &r.liveDigest}, e.head()...)
	if err := e.Row(e.s.findRow, e.s.d.withNow(e.n, []byte(name)), dest...); err != nil {
		return nil, err
	}
	r.shown = r.digest != nil
	e.rows[name] = r
	return r, nil
}

// expect notes if the row was not where an edit expects it.
func (e *lvEdits) expect(edit lv.Edit, r *lvRow) {
	if x := edit.Expect; x != nil && int64(*x) != r.working && (*x != 0 || r.shown) {
		expect := *x
		e.conflicts = append(e.conflicts, lv.Change{Row: r.name, From: lv.VersionID(r.working), Expect: &expect})
	}
}

// there reports whether a row ever was.
func (r *lvRow) there() bool { return r.working > 0 || r.fresh != nil }

func (e *lvEdits) save(edit lv.Edit, digest []byte) (lvResult, error) {
	r, err := e.row(edit.Row)
	if err != nil {
		return lvResult{}, err
	}
	e.expect(edit, r)
	return e.append(r, lvFresh{Version: lv.Version{Op: lv.OpSave, Content: bytes.Clone(edit.Content)}, digest: digest})
}

func (e *lvEdits) delete(edit lv.Edit) (lvResult, error) {
	r, err := e.row(edit.Row)
	if err != nil {
		return lvResult{}, err
	}
	if !r.there() {
		return lvResult{}, fmt.Errorf("%w: row %q", lv.ErrNotFound, edit.Row)
	}
	e.expect(edit, r)
	return e.append(r, lvFresh{Version: lv.Version{Op: lv.OpDelete}})
}

func (e *lvEdits) restore(edit lv.Edit) (lvResult, error) {
	f := lvFresh{Version: lv.Version{Op: lv.OpRestore, Source: edit.Version}}
	var name, content []byte
	err := e.Tx.Row(lvSourceFind, []any{e.n, int64(edit.Version)}, &name, &f.digest, &f.body, &content)
	switch {
	case err != nil:
		return lvResult{}, unlessThere(err, lv.ErrNotFound, edit.Version)
	case f.body == 0:
		return lvResult{}, fmt.Errorf("%w: version %d is a deletion", lv.ErrInvalid, edit.Version)
	}
	if !intact(content, f.digest) {
		return lvResult{}, e.corrupt(string(name), edit.Version)
	}
	f.Content = content
	r, err := e.row(string(name))
	if err != nil {
		return lvResult{}, err
	}
	e.expect(edit, r)
	return e.append(r, f)
}

// append makes f the working row, unless that says the same. What is damaged
// says nothing.
func (e *lvEdits) append(r *lvRow, f lvFresh) (lvResult, error) {
	if r.there() && bytes.Equal(r.digest, f.digest) {
		if r.fresh != nil {
			return lvResult{fresh: r.fresh}, nil
		}
		v, err := e.version(r.working)
		if !isContent(err) {
			return lvResult{there: &v}, err
		}
	}
	if r.fresh == nil {
		e.order = append(e.order, r)
	}
	f.Row, f.By, f.row, f.parent = r.name, e.by, r, r.fresh
	r.fresh, r.digest = &f, f.digest
	e.fresh = append(e.fresh, &f)
	return lvResult{fresh: &f}, nil
}

// flush writes the event, the new versions, and the rows.
func (e *lvEdits) flush() error {
	if len(e.fresh) == 0 {
		return nil
	}
	if err := e.create(); err != nil {
		return err
	}
	if err := e.event(lvEvent{kind: lv.EventSaved, versions: len(e.fresh), moved: len(e.fresh)}); err != nil {
		return err
	}
	for i, f := range e.fresh {
		f.ID = lv.VersionID(e.given + int64(i) + 1)
		f.Time = utc(e.now)
		if err := e.insert(f); err != nil {
			return err
		}
	}
	for _, r := range e.order {
		if r.created == 0 {
			r.created = e.now
		}
		state := lvState(r.digest, r.liveDigest)
		err := e.Exec(lvRowPut, e.n, []byte(r.name), r.created, state, int64(r.fresh.ID))
		if err == nil && state == lvGone {
			err = e.judge(r.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// judge keeps the state of a row after a change, if the working row is a
// deletion.
func (w *lvWriting) judge(name string) error { return w.Exec(lvDeletionJudge, w.n, []byte(name)) }

func (e *lvEdits) insert(f *lvFresh) error {
	parent, body, content := f.row.working, f.body, []byte(f.Content)
	if f.parent != nil {
		parent = int64(f.parent.ID)
	}
	switch f.Op {
	case lv.OpSave:
		body = int64(f.ID)
	case lv.OpRestore:
		content = nil
	}
	return e.Exec(lvVersionInsert, int64(f.ID), e.n, []byte(f.Row), string(f.Op), int64(f.Source), parent, body,
		e.seq, e.now, f.digest, []byte(f.By.Actor), []byte(f.By.Reason), []byte(f.By.RequestID), content)
}

// answer returns the version that each edit has left or forgotten.
func (e *lvEdits) answer() (a lvAnswer) {
	for _, r := range e.results {
		if r.there != nil {
			a.versions = append(a.versions, *r.there)
			continue
		}
		v := r.fresh.Version
		v.Content = bytes.Clone(v.Content)
		a.versions = append(a.versions, v)
	}
	return a
}
