package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/upkeep-go/upkeep/lv"
)

// Events are numbered without a gap but where a history begins, in the order of
// their commits: a reader that finds one missing knows that it was pruned, or
// is of another history.
const (
	// The newest event has the last id that was given to a version.
	lvEventInsert = `
INSERT INTO upkeep_lv_event (seq, time_ms, tbl, kind, env, subject, actor, version, moved, strategy)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`

	lvEventNewest = `SELECT coalesce(max(seq), 0) FROM upkeep_lv_event`
	lvEventOldest = `SELECT coalesce(min(seq), 0) FROM upkeep_lv_event`

	// lvEventFirstYoung finds the first event before ?1 that is not before the
	// time ?2.
	lvEventFirstYoung = `
SELECT coalesce(min(seq), ?1) FROM upkeep_lv_event WHERE seq < ?1 AND time_ms >= ?2`

	// lvEventsKept finds the first of the newest ?1 events.
	lvEventsKept = `SELECT min(seq) FROM (SELECT seq FROM upkeep_lv_event ORDER BY seq DESC LIMIT ?1) AS kept`

	lvEventPrune   = `DELETE FROM upkeep_lv_event WHERE seq < ?1`
	lvVersionPrune = `
DELETE FROM upkeep_lv_version WHERE id IN (
	SELECT f.id FROM upkeep_lv_version f WHERE f.forgotten > 0 AND f.forgotten <= ?1
	AND NOT EXISTS (SELECT 1 FROM upkeep_lv_version o WHERE o.body = f.id AND o.source > 0)
	ORDER BY f.forgotten LIMIT 2000)`
)

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
	err := w.Exec(lvEventInsert, w.seq, w.now, w.n, string(e.kind), []byte(e.env), e.subject, []byte(w.by.Actor),
		w.given+int64(e.versions), int64(e.moved), e.strategy)
	if err != nil || !w.s.due(w.seq, w.now) {
		return err
	}
	w.pruned = true
	return w.prune()
}

// due reports that it is time to prune: every 1,000 events, every tenth of
// what is kept when that is less, and now and then because events age.
func (s *Versions) due(seq, now int64) bool {
	every := int64(min(1000, max(1, s.keep.Events/10)))
	age := now - s.pruned.Load()
	return seq%every == 0 || age < 0 || age >= s.keep.Age.Milliseconds()/30
}

// prune deletes the oldest events that are too many or too old, never the
// newest, and what was kept for them.
func (w *lvWriting) prune() error {
	var oldest, young int64
	if err := w.Row(lvEventOldest, nil, &oldest); err != nil {
		return err
	}
	end := min(oldest+pruneChunk, w.seq) // the first event that must stay
	keep, err := firstKept(w, lvEventsKept, oldest, w.seq, w.s.keep.Events)
	if err != nil {
		return err
	}
	keep = min(keep, end)
	if err := w.Row(lvEventFirstYoung, []any{end, w.now - w.s.keep.Age.Milliseconds()}, &young); err != nil {
		return err
	}
	if keep = max(keep, young); keep <= oldest {
		return nil
	}
	for _, query := range []string{lvEventPrune, lvVersionPrune} {
		if err := w.Exec(query, keep); err != nil {
			return err
		}
	}
	return nil
}

// Watch keeps the promise of lv.VersionStore.
func (s *Versions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		err := s.watch(ctx, after, func(e lv.Event) bool { return yield(e, nil) })
		if err != nil {
			yield(lv.Event{}, lvWhile("watching events", err))
		}
	}
}

// watch returns nil once the caller breaks.
func (s *Versions) watch(ctx context.Context, after int64, yield func(lv.Event) bool) error {
	if after < 0 {
		if err := s.db.Row(ctx, lvEventNewest, nil, &after); err != nil {
			return err
		}
	}
	// To be told of changes costs more than to look for events that are there.
	var changed <-chan struct{}
	at := int64(0) // the time of the event after, once it is known
	for size := eventPage; ; {
		batch, full, anchor, err := s.events(ctx, after, size)
		if err != nil {
			return err
		}
		if !anchor.holds(after, at, len(batch) > 0) {
			return fmt.Errorf("%w: event %d is another one, or is not yet", lv.ErrCompacted, after)
		}
		at = anchor.time
		if size = min(2*size, eventPage); full {
			size = fewer(len(batch))
		}
		for _, e := range batch {
			if e.Seq != after+1 {
				return fmt.Errorf("%w: event %d", lv.ErrCompacted, after+1)
			}
			if !yield(e) {
				return nil
			}
			after, at = e.Seq, e.Time.UnixMilli()
		}
		switch {
		case len(batch) > 0:
			changed = nil
		case changed == nil:
			changed = s.db.Changed(ctx)
		default:
			select {
			case <-changed:
				changed = s.db.Changed(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// Batches of events end with the one that makes them tell of so many rows, or
// of contents of so many bytes: each reader of a feed has one in memory, and
// others wait for their turn until it is read.
const (
	eventPage  = 256
	eventRows  = 512
	eventBytes = 512 << 10
)

const (
	lvEventsAfter = `
SELECT e.seq, e.time_ms, t.app, t.schema, e.kind, e.env, e.subject, e.actor, e.version, e.moved, e.strategy
FROM upkeep_lv_event e LEFT JOIN upkeep_lv_table t ON t.id = e.tbl
WHERE e.seq >= ?1 ORDER BY e.seq LIMIT {size}`

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

// lvBatch is some events that follow each other.
type lvBatch struct {
	anchor   anchor
	events   []lv.Event
	versions []int64 // last ids given before the first, and then by each
	released bool    // one of them tells of a release
	rows     int
	bytes    int // of contents
	full     bool
}

// events reads the next events after a number, from one snapshot, whether there
// are more that did not fit, and the event of the number.
func (s *Versions) events(ctx context.Context, after int64, size int) ([]lv.Event, bool, anchor, error) {
	var b lvBatch
	err := s.feeds.read(ctx, s.db, func(tx Tx) error {
		b = lvBatch{}
		err := b.read(tx, after, size)
		if err == nil && len(b.events) > 0 {
			err = b.complete(tx)
		}
		return err
	})
	return b.events, b.full, b.anchor, err
}

func (b *lvBatch) read(tx Tx, after int64, size int) error {
	return tx.Query(limited(lvEventsAfter, size+1), []any{after}, func(scan func(...any) error) error {
		var e lv.Event
		var ms, subject, version, moved int64
		var kind, strategy string
		var app, schema, env, actor []byte
		err := scan(&e.Seq, &ms, &app, &schema, &kind, &env, &subject, &actor, &version, &moved, &strategy)
		if err != nil {
			return err
		}
		if e.Seq == after {
			b.anchor = anchor{there: true, time: ms}
			return nil
		}
		if b.rows >= eventRows || kind == "" { // where a history begins
			return nil
		}
		b.rows += int(moved)
		e.Time, e.Kind, e.Env, e.Actor = utc(ms), lv.EventKind(kind), lv.Env(env), string(actor)
		e.Table = lv.TableID{App: string(app), Schema: string(schema)}
		before := version
		switch e.Kind {
		case lv.EventSaved:
			before -= moved
		case lv.EventReleased:
			e.Release, b.released = subject, true
		case lv.EventDraft:
			e.Release = subject
		case lv.EventStrategy:
			s, err := decodeStrategy(strategy)
			if err != nil {
				s = lv.Strategy{Corrupt: true}
			}
			s.ID, s.Seq = subject, e.Seq
			e.Strategy = &s
		}
		if len(b.versions) == 0 {
			b.versions = append(b.versions, before)
		}
		b.events = append(b.events, e)
		b.versions = append(b.versions, version)
		return nil
	})
}

// complete adds to the events what moved.
func (b *lvBatch) complete(tx Tx) error {
	first, last := b.versions[0], b.versions[len(b.versions)-1]
	if last > first {
		if err := b.addRows(tx, lvRowsSaved, first, last); err != nil {
			return err
		}
	}
	if b.released {
		if err := b.addRows(tx, lvRowsReleased, b.events[0].Seq, b.events[len(b.events)-1].Seq); err != nil {
			return err
		}
	}
	for i := range b.events {
		s := b.events[i].Strategy
		if s == nil || s.Corrupt {
			continue
		}
		if i > 0 && b.bytes >= eventBytes {
			b.cut(i)
			break
		}
		c, err := lvTarget(tx, s.Target)
		if err != nil {
			return err
		}
		b.events[i].Rows, b.bytes = []lv.Moved{c}, b.bytes+len(c.Content)
	}
	return nil
}

// cut leaves the first n events.
func (b *lvBatch) cut(n int) { b.events, b.versions, b.full = b.events[:n], b.versions[:n+1], true }

// addRows adds to the events the rows that a query tells of, event by event.
// When their contents are too long the rest is left for the next batch.
func (b *lvBatch) addRows(tx Tx, query string, first, last int64) error {
	at := int64(0) // the event whose rows came last
	err := tx.Query(query, []any{first, last}, func(scan func(...any) error) error {
		var seq, from, to, created, updated int64
		var name, digest, content []byte
		if err := scan(&seq, &name, &from, &to, &created, &updated, &digest, &content); err != nil {
			return err
		}
		c := lv.Moved{Row: string(name), From: lv.VersionID(from), To: lv.VersionID(to)}
		if to > 0 {
			c.CreatedAt, c.UpdatedAt = utc(created), utc(updated)
			if c.Content = content; !intact(content, digest) {
				c.Content, c.Corrupt = nil, true
			}
		}
		i := seq - b.events[0].Seq
		if i < 0 || i >= int64(len(b.events)) {
			return nil
		}
		if i > at && b.bytes >= eventBytes {
			b.cut(int(i))
			return errPageFull
		}
		at, b.bytes = i, b.bytes+len(content)
		b.events[i].Rows = append(b.events[i].Rows, c)
		return nil
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return err
}

// lvTarget tells of the version that a strategy shows.
func lvTarget(tx Tx, id lv.VersionID) (lv.Moved, error) {
	var to, created, updated int64
	var name, digest, content []byte
	err := tx.Row(lvRowTargeted, []any{int64(id)}, &name, &to, &created, &updated, &digest, &content)
	if errors.Is(err, sql.ErrNoRows) {
		return lv.Moved{}, fmt.Errorf("%w: version %d", lv.ErrCompacted, id)
	}
	c := lv.Moved{
		Row: string(name), To: lv.VersionID(to),
		Content: content, CreatedAt: utc(created), UpdatedAt: utc(updated),
	}
	if !intact(content, digest) {
		c.Content, c.Corrupt = nil, true
	}
	return c, err
}
