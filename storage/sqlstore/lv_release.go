package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	// lvPointerFind reads a row, its pointer in production, and the version ?3
	// of it: with the content of that, or else of the working row.
	lvPointerFind = `
SELECT r.working, w.digest, r.live` + lvMoveFrom + `
WHERE r.tbl = ?1 AND r.name = ?2`

	// lvGrayFind is the same for the gray ?4.
	lvGrayFind = `
SELECT r.working, w.digest, coalesce(g.version, 0)` + lvMoveFrom + `
LEFT JOIN upkeep_lv_gray g ON g.tbl = r.tbl AND g.env = ?4 AND g.name = r.name
WHERE r.tbl = ?1 AND r.name = ?2`

	lvMoveFrom = `, coalesce(t.id, 0), t.digest, b.content,` + lvHead + `
FROM upkeep_lv_row r
JOIN upkeep_lv_version w ON w.id = r.working
LEFT JOIN upkeep_lv_version t ON t.id = ?3 AND t.tbl = r.tbl AND t.name = r.name AND t.forgotten = 0
LEFT JOIN upkeep_lv_version b ON b.id = coalesce(t.body, w.body)`

	lvLastMove = `
SELECT release, moved FROM upkeep_lv_change
WHERE tbl = ?1 AND env = ?2 AND name = ?3 AND moved > 0 ORDER BY moved DESC LIMIT 1`

	lvReleaseInsert = `
INSERT INTO upkeep_lv_release
	(tbl, id, env, state, rev, seq, changed, reverts, at_ms, created_ms, applied_ms, approver, actor, descr, request)
VALUES (?1, ?2, ?3, ?4, 1, ?5, ?2, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`

	lvReleaseUpdate = `
UPDATE upkeep_lv_release SET env = ?3, state = ?4, rev = rev + 1, seq = ?5, reverts = ?6, at_ms = ?7,
	applied_ms = ?8, approver = ?9, changed = ?10, last_actor = ?11, last_descr = ?12, last_request = ?13
WHERE tbl = ?1 AND id = ?2`

	lvChangeInsert = `
INSERT INTO upkeep_lv_change (release, n, tbl, env, name, from_version, to_version, expect, moved)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE WHEN ?8 = 1 THEN CAST(?9 AS BIGINT) END, ?10)`
	lvChangesDelete = `DELETE FROM upkeep_lv_change WHERE release = ?1`

	lvPointerMove = `UPDATE upkeep_lv_row SET live = ?3, state = ?4 WHERE tbl = ?1 AND name = ?2`
	lvGrayMove    = `
INSERT INTO upkeep_lv_gray (tbl, env, name, version) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tbl, env, name) DO UPDATE SET version = excluded.version`
	lvEnvInsert = `INSERT INTO upkeep_lv_env (tbl, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING`
)

// PutRelease keeps the promise of lv.VersionStore.
func (s *Versions) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	if err := r.Check(); err != nil {
		return lv.Release{}, lvWhile("putting a release", err)
	}
	a, err := s.write(ctx, t, by, func(w *lvWriting) (lvAnswer, error) {
		left, err := w.putRelease(r)
		return lvAnswer{release: left}, err
	})
	if err == nil && a.release == nil {
		err = errOtherRequest
	}
	if err != nil {
		return lv.Release{}, lvWhile("putting a release", err)
	}
	return *a.release, nil
}

// lvMove is a change and the row that it concerns.
type lvMove struct {
	lv.Change
	working  []byte // digest; nil: a deletion
	target   []byte // digest of To; nil: a deletion or none
	content  []byte // of To, if that is not 0
	position int64  // where the pointer is
}

func (m lvMove) moves() bool { return m.position != int64(m.To) }

// putRelease leaves r, or finds the release that did what it would.
func (w *lvWriting) putRelease(r lv.Release) (*lv.Release, error) {
	old, err := w.replaced(r)
	if err != nil {
		return nil, err
	}
	moves, moved, err := w.resolve(r)
	if err != nil {
		return nil, err
	}
	apply := r.State == lv.ReleaseApplied
	if old == nil && apply && moved == 0 {
		return w.lastMove(r)
	}
	e := lvEvent{kind: lv.EventDraft, env: r.Env, subject: r.ID}
	if apply {
		e.kind, e.moved = lv.EventReleased, moved
	}
	if err := w.event(e); err != nil {
		return nil, err
	}
	r.Changes, r.AppliedAt, r.Seq = nil, time.Time{}, 0
	if apply {
		r.AppliedAt, r.Seq = utc(w.now), w.seq
	}
	if err := w.keep(&r, old); err != nil {
		return nil, err
	}
	if apply && r.Env != lv.Production {
		if err := w.Exec(lvEnvInsert, w.n, []byte(r.Env)); err != nil {
			return nil, err
		}
	}
	for i, m := range moves {
		if err := w.change(&r, i, m); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// replaced returns the release that r replaces, or nil for a new one.
func (w *lvWriting) replaced(r lv.Release) (*lv.Release, error) {
	if r.ID == 0 {
		return nil, nil
	}
	old, err := w.release(r.ID)
	switch {
	case err != nil:
		return nil, err
	case old == nil:
		return nil, fmt.Errorf("%w: release %d", lv.ErrNotFound, r.ID)
	case old.State.Done():
		return nil, fmt.Errorf("%w: release %d is %s", lv.ErrTooLate, r.ID, old.State)
	case old.Rev != r.Rev:
		return nil, fmt.Errorf("%w: release %d has changed", lv.ErrStale, r.ID)
	}
	return old, nil
}

// resolve completes the changes of r and counts those that would move.
func (w *lvWriting) resolve(r lv.Release) (moves []lvMove, moved int, err error) {
	var conflicts []lv.Change
	for _, c := range r.Changes {
		m, err := w.move(r.Env, c)
		// A plan that is not applied must be able to fail, or to be cancelled.
		if err == nil && m.To != 0 && (r.ID == 0 || r.State == lv.ReleaseApplied) && !intact(m.content, m.target) {
			err = w.corrupt(c.Row, m.To)
		}
		if err != nil {
			return nil, 0, err
		}
		m.content = nil
		if r.State == lv.ReleaseApplied {
			m.From = lv.VersionID(m.position)
			if m.Expect != nil && *m.Expect != m.From {
				conflicts = append(conflicts, m.Change)
			}
			if m.moves() {
				moved++
			}
		}
		moves = append(moves, m)
	}
	if conflicts != nil {
		return nil, 0, &lv.ConflictError{Changes: conflicts}
	}
	return moves, moved, nil
}

// move finds what a change names.
func (w *lvWriting) move(env lv.Env, c lv.Change) (lvMove, error) {
	m := lvMove{Change: lv.Change{Row: c.Row, To: c.To}}
	if c.Expect != nil {
		expect := *c.Expect
		m.Expect = &expect
	}
	query, args := w.s.findPointer, []any{w.n, []byte(c.Row), int64(c.To)}
	if env != lv.Production {
		query, args = w.s.findGray, append(args, []byte(env))
	}
	var working, target int64
	dest := append([]any{&working, &m.working, &m.position, &target, &m.target, &m.content}, w.head()...)
	err := w.Row(query, w.s.d.withNow(args...), dest...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return lvMove{}, fmt.Errorf("%w: row %q", lv.ErrNotFound, c.Row)
	case err != nil:
		return lvMove{}, err
	case c.Working:
		m.To, m.target = lv.VersionID(working), m.working
	case target != int64(c.To):
		return lvMove{}, fmt.Errorf("%w: version %d of row %q", lv.ErrNotFound, c.To, c.Row)
	}
	return m, nil
}

// lastMove returns the release that moved any of the pointers of r last, or
// the zero Release.
func (w *lvWriting) lastMove(r lv.Release) (*lv.Release, error) {
	var last, seq int64
	for _, c := range r.Changes {
		var release, moved int64
		if _, err := found(w.Row(lvLastMove, []any{w.n, []byte(r.Env), []byte(c.Row)}, &release, &moved)); err != nil {
			return nil, err
		}
		if moved > seq {
			last, seq = release, moved
		}
	}
	if last == 0 {
		return new(lv.Release), nil
	}
	return w.release(last)
}

// keep writes a release without its changes, and completes it.
func (w *lvWriting) keep(r *lv.Release, old *lv.Release) (err error) {
	at := millis(r.At)
	r.At, r.Last = utc(at), w.by
	if old == nil {
		r.ID, r.Rev, r.By, r.CreatedAt = w.seq, 1, w.by, utc(w.now)
		return w.Exec(lvReleaseInsert, w.n, r.ID, []byte(r.Env), string(r.State), r.Seq, r.Reverts, at,
			w.now, millis(r.AppliedAt), []byte(r.Approver),
			[]byte(r.By.Actor), []byte(r.By.Reason), []byte(r.By.RequestID))
	}
	r.Rev, r.By, r.CreatedAt = old.Rev+1, old.By, old.CreatedAt
	err = w.Exec(lvReleaseUpdate, w.n, r.ID, []byte(r.Env), string(r.State), r.Seq, r.Reverts, at,
		millis(r.AppliedAt), []byte(r.Approver), w.seq,
		[]byte(r.Last.Actor), []byte(r.Last.Reason), []byte(r.Last.RequestID))
	if err == nil {
		err = w.Exec(lvChangesDelete, r.ID)
	}
	return err
}

// change writes a change of r, and moves its pointer if that is due.
func (w *lvWriting) change(r *lv.Release, n int, m lvMove) error {
	applied := r.State == lv.ReleaseApplied
	var expect, moved int64
	if m.Expect != nil {
		expect = int64(*m.Expect)
	}
	if applied && m.moves() {
		moved = w.seq
	}
	err := w.Exec(lvChangeInsert, r.ID, int64(n), w.n, []byte(r.Env), []byte(m.Row),
		int64(m.From), int64(m.To), flag(m.Expect != nil), expect, moved)
	if err != nil {
		return err
	}
	r.Changes = append(r.Changes, m.Change)
	switch {
	case moved == 0:
		return nil
	case r.Env == lv.Production:
		err = w.Exec(lvPointerMove, w.n, []byte(m.Row), int64(m.To), lvState(m.working, m.target))
	default:
		err = w.Exec(lvGrayMove, w.n, []byte(r.Env), []byte(m.Row), int64(m.To))
	}
	if err == nil && m.working == nil {
		err = w.judge(m.Row)
	}
	return err
}
