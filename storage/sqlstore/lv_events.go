package sqlstore

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/lv"
)

// lvEvents is the log of a VersionStore. Its newest event has the last id that
// was given to a version.
var lvEvents = &eventTable[lvLogged]{
	insert: `
INSERT INTO upkeep_lv_event (seq, time_ms, tbl, kind, env, subject, actor, version, moved, strategy)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`,

	after: `
SELECT e.seq, e.time_ms, t.app, t.schema, e.kind, e.env, e.subject, e.actor, e.version, e.moved, e.strategy
FROM upkeep_lv_event e LEFT JOIN upkeep_lv_table t ON t.id = e.tbl
WHERE e.seq >= ?1 ORDER BY e.seq LIMIT {size}`,

	prune: `
DELETE FROM upkeep_lv_version WHERE id IN (
	SELECT f.id FROM upkeep_lv_version f WHERE f.forgotten > 0 AND f.forgotten <= ?1
	AND NOT EXISTS (SELECT 1 FROM upkeep_lv_version o WHERE o.body = f.id AND o.source > 0)
	ORDER BY f.forgotten LIMIT 2000)`,

	compacted: lv.ErrCompacted,
	scan:      lvScanEvent,
	complete:  lvComplete,
}

// lvEvent is what is to be told of a write.
type lvEvent struct {
	kind     lv.EventKind
	env      lv.Env
	subject  int64 // the release or strategy; 0: a new one, if it is about one
	versions int   // how many ids are given
	moved    int   // how many rows it tells of
	strategy string
}

// event writes the one event of a write, which has read its head.
func (w *lvWriting) event(e lvEvent) error {
	if e.subject == 0 && e.kind != lv.EventSaved {
		e.subject = w.seq
	}
	return w.s.events.append(w, w.seq, w.now, w.n, string(e.kind), []byte(e.env), e.subject, []byte(w.by.Actor),
		w.given+int64(e.versions), int64(e.moved), e.strategy)
}

// Watch keeps the promise of lv.VersionStore.
func (s *Versions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		for e, err := range s.events.watch(ctx, after) {
			if !yield(e.Event, err) {
				return
			}
		}
	}
}

// lvLogged is an event, and the last ids that were given before it and by then.
type lvLogged struct {
	lv.Event
	before, given int64
}

// rowBytes is what a row that an event tells of counts in a page of events,
// beside its content.
const rowBytes = eventBytes / 512

const (
	lvRowsSaved = `
SELECT v.seq, v.name, v.parent, v.id, r.created_ms, v.time_ms, v.digest, b.content
FROM upkeep_lv_version v
JOIN upkeep_lv_row r ON r.tbl = v.tbl AND r.name = v.name
LEFT JOIN upkeep_lv_version b ON b.id = v.body
WHERE v.id > ?1 AND v.id <= ?2 ORDER BY v.id`

	lvRowsReleased = `
SELECT c.moved, c.name, c.from_version, c.to_version, r.created_ms, coalesce(v.time_ms, 0), v.digest, b.content
FROM upkeep_lv_event e
JOIN upkeep_lv_change c ON c.release = e.subject AND c.moved = e.seq
JOIN upkeep_lv_row r ON r.tbl = c.tbl AND r.name = c.name
LEFT JOIN upkeep_lv_version v ON v.id = c.to_version
LEFT JOIN upkeep_lv_version b ON b.id = v.body
WHERE e.seq >= ?1 AND e.seq <= ?2 AND e.kind = 'released' ORDER BY e.seq, c.n`

	lvRowTargeted = `
SELECT v.name, v.id, r.created_ms, v.time_ms, v.digest, b.content
FROM upkeep_lv_version v
JOIN upkeep_lv_row r ON r.tbl = v.tbl AND r.name = v.name
LEFT JOIN upkeep_lv_version b ON b.id = v.body
WHERE v.id = ?1`
)

func lvScanEvent(scan func(...any) error) (logged[lvLogged], error) {
	var r logged[lvLogged]
	e := &r.event
	var subject, moved int64
	var strategy string
	var app, schema, env, actor []byte
	err := scan(&r.seq, &r.ms, &app, &schema, (*string)(&e.Kind), &env, &subject, &actor, &e.given, &moved, &strategy)
	if err != nil {
		return r, err
	}
	e.Seq, e.Time, e.Env, e.Actor = r.seq, utc(r.ms), lv.Env(env), string(actor)
	e.Table = lv.TableID{App: string(app), Schema: string(schema)}
	e.before, r.bytes = e.given, int(moved)*rowBytes+len(strategy)
	switch e.Kind {
	case lv.EventSaved:
		e.before -= moved
	case lv.EventReleased, lv.EventDraft:
		e.Release = subject
	case lv.EventStrategy:
		s, err := decodeStrategy(strategy)
		if err != nil {
			s = lv.Strategy{Corrupt: true}
		}
		s.ID, s.Seq = subject, e.Seq
		e.Strategy = &s
	}
	return r, nil
}

// lvComplete adds to events what moved.
func lvComplete(tx Tx, all []logged[lvLogged]) (int, error) {
	p := lvMovedPage{all: all}
	first, last := all[0].event, all[len(all)-1].event
	if last.given > first.before {
		if err := p.add(tx, lvRowsSaved, first.before, last.given); err != nil {
			return 0, err
		}
	}
	if slices.ContainsFunc(p.all, func(e logged[lvLogged]) bool { return e.event.Kind == lv.EventReleased }) {
		if err := p.add(tx, lvRowsReleased, first.Seq, last.Seq); err != nil {
			return 0, err
		}
	}
	for i := range p.all {
		e := &p.all[i].event
		if e.Strategy == nil || e.Strategy.Corrupt {
			continue
		}
		if i > 0 && p.bytes >= eventBytes {
			return i, nil
		}
		m, err := lvTarget(tx, e.Strategy.Target)
		if err != nil {
			return 0, err
		}
		e.Rows, p.bytes = []lv.Moved{m}, p.bytes+len(m.Content)
	}
	return len(p.all), nil
}

// lvMovedPage is events that get their rows.
type lvMovedPage struct {
	all   []logged[lvLogged] // those that there is room for
	bytes int                // of contents
}

// add adds the rows that a query tells of, event by event. When their contents
// are too long the rest is left for the next page.
func (p *lvMovedPage) add(tx Tx, query string, first, last int64) error {
	at := int64(0) // the event whose rows came last
	err := tx.Query(query, []any{first, last}, func(scan func(...any) error) error {
		var seq, created, updated int64
		var name, digest, content []byte
		var m lv.Moved
		err := scan(&seq, &name, (*int64)(&m.From), (*int64)(&m.To), &created, &updated, &digest, &content)
		if err != nil {
			return err
		}
		if m.Row = string(name); m.To > 0 {
			lvShow(&m, created, updated, content, digest)
		}
		i := seq - p.all[0].seq
		if i < 0 {
			return nil
		}
		if i >= int64(len(p.all)) {
			return errPageFull // what follows was cut
		}
		if i > at && p.bytes >= eventBytes {
			p.all = p.all[:i]
			return errPageFull
		}
		at, p.bytes = i, p.bytes+len(content)
		p.all[i].event.Rows = append(p.all[i].event.Rows, m)
		return nil
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return err
}

// lvShow tells what a version shows.
func lvShow(m *lv.Moved, created, updated int64, content, digest []byte) {
	m.CreatedAt, m.UpdatedAt, m.Content = utc(created), utc(updated), content
	if !intact(content, digest) {
		m.Content, m.Corrupt = nil, true
	}
}

// lvTarget tells of the version that a strategy shows.
func lvTarget(tx Tx, id lv.VersionID) (m lv.Moved, err error) {
	var created, updated int64
	var name, digest, content []byte
	err = tx.Row(lvRowTargeted, []any{int64(id)}, &name, (*int64)(&m.To), &created, &updated, &digest, &content)
	m.Row = string(name)
	lvShow(&m, created, updated, content, digest)
	return m, unlessThere(err, lv.ErrCompacted, id)
}
