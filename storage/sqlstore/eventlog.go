package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/storage"
)

// eventTable is what a domain says of its events. Their table has the columns
// seq, the primary key, and time_ms, and others.
type eventTable[E any] struct {
	insert    string // an event, of which ?1 and ?2 are seq and time_ms
	after     string // reads {size} events from ?1 on, each for scan; {and} where those are of one log
	prune     string // deletes what was kept for the events before ?1; may be empty
	part      string // column that tells the logs in the table apart, with which the key begins; empty: it has one
	compacted error  // for who cannot be told of all that follows

	scan func(scan func(dest ...any) error) (logged[E], error)
	// complete adds to events that follow each other what is kept elsewhere,
	// and returns how many of them it had room for, at least one. It may be nil.
	complete func(tx Tx, events []logged[E]) (int, error)
}

// logged is an event as it is read.
type logged[E any] struct {
	seq, ms int64
	bytes   int // how much it adds to a page
	event   E
}

// scanEvents scans the columns seq, time_ms, run and record. Corrupt stands for
// an event whose record cannot be decoded, and set says what the columns do.
func scanEvents[E any](decode func(record string) (E, error), corrupt E, set func(e *E, seq int64, at time.Time, run string)) func(
	scan func(dest ...any) error) (logged[E], error) {
	return func(scan func(...any) error) (r logged[E], err error) {
		var run []byte
		var record string
		if err = scan(&r.seq, &r.ms, &run, &record); err != nil {
			return r, err
		}
		e, fault := decode(record)
		if fault != nil {
			e = corrupt
		}
		set(&e, r.seq, utc(r.ms), string(run))
		r.event, r.bytes = e, len(record)
		return r, nil
	}
}

// eventLog is the events of a domain. They are numbered without a gap but where
// a history begins, in the order of their commits: a reader that finds one
// missing knows that it was pruned, or is of another history.
type eventLog[E any] struct {
	*eventTable[E]
	table  string
	of     []byte // the value of part
	locks  string // Dialect.EventLock
	db     DB
	keep   storage.Retention
	inside bool          // a transaction of the caller's
	pruned *atomic.Int64 // when this process last pruned, Unix milliseconds
	feeds  feeds
}

func newEventLog[E any](db DB, keep storage.Retention, domain string, t *eventTable[E]) eventLog[E] {
	d := db.Dialect()
	feeds := newFeeds(d)
	if t, ok := db.(*tabled); ok {
		feeds = t.feeds // the connections are shared too
	}
	return eventLog[E]{
		eventTable: t, table: eventsOf(domain), locks: d.eventLock(domain), db: db, keep: keep.OrDefault(),
		pruned: new(atomic.Int64), feeds: feeds,
	}
}

// on returns the same log in a transaction of the caller's.
func (l eventLog[E]) on(db DB) eventLog[E] {
	l.db, l.inside = db, true
	return l
}

// logOf returns the log of a part of the table.
func (l eventLog[E]) logOf(part string) eventLog[E] {
	l.of = []byte(part)
	return l
}

// lock comes first in every write that gives events.
func (l eventLog[E]) lock(tx Tx) error { return execLock(tx, l.locks) }

// {log} is the table, {where} and {and} select one of its logs.
const (
	logNewest = `SELECT coalesce(max(seq), 0) FROM {log}{where}`
	logOldest = `SELECT coalesce(min(seq), 0) FROM {log}{where}`
	// logFirstYoung finds the first event before ?1 that is not before the time ?2.
	logFirstYoung = `SELECT coalesce(min(seq), ?1) FROM {log} WHERE seq < ?1 AND time_ms >= ?2{and}`
	// logKept finds the first of the newest ?1 events.
	logKept  = `SELECT min(seq) FROM (SELECT seq FROM {log}{where} ORDER BY seq DESC LIMIT ?1) AS kept`
	logPrune = `DELETE FROM {log} WHERE seq < ?1{and}`
	// logBase is what the numbers of a log follow that has no events yet: a lost
	// history may have had some. A table of one log has an event there instead.
	logBase = `SELECT coalesce(max(base), 0) FROM upkeep_history`
)

// sql is a statement for one log, with its arguments.
func (l eventLog[E]) sql(text string, args ...any) query {
	q := query{text, args}
	where, and := "", ""
	if l.part != "" {
		is := l.part + " = " + q.arg(l.of)
		where, and = " WHERE "+is, " AND "+is
	}
	q.text = strings.NewReplacer("{log}", l.table, "{where}", where, "{and}", and).Replace(text)
	return q
}

// append writes an event, and now and then deletes old ones. Nobody else writes
// meanwhile; the caller knows what the next number is, and the time.
func (l eventLog[E]) append(tx Tx, seq, now int64, columns ...any) error {
	err := tx.Exec(l.insert, slices.Concat([]any{seq, now}, columns)...)
	if err != nil || !l.due(seq, now) {
		return err
	}
	l.pruned.Store(now)
	return l.forget(tx, seq, now)
}

// due reports that it is time to prune: every 1,000 events, every tenth of
// what is kept when that is less, and now and then because events age.
func (l eventLog[E]) due(seq, now int64) bool {
	every := int64(min(1000, max(1, l.keep.Events/10)))
	age := now - l.pruned.Load()
	return seq%every == 0 || age < 0 || age >= l.keep.Age.Milliseconds()/30
}

// pruneChunk bounds the work that pruning adds to one write. It is more than
// the events between two prunings, so that pruning catches up.
const pruneChunk = 2000

// forget deletes the oldest events that are too many or too old, never the
// newest, and what was kept for them.
func (l eventLog[E]) forget(tx Tx, newest, now int64) error {
	var oldest, young int64
	if err := row(tx, l.sql(logOldest), &oldest); err != nil {
		return err
	}
	end := min(oldest+pruneChunk, newest) // the first event that must stay
	keep, err := l.firstKept(tx, oldest, newest)
	if err != nil {
		return err
	}
	err = row(tx, l.sql(logFirstYoung, end, now-l.keep.Age.Milliseconds()), &young)
	if keep = max(min(keep, end), young); err != nil || keep <= oldest {
		return err
	}
	q := l.sql(logPrune, keep)
	if err = tx.Exec(q.text, q.args...); err == nil && l.prune != "" {
		err = tx.Exec(l.prune, keep)
	}
	return err
}

// firstKept returns the first of the newest events that are to be kept. It
// counts them only if a history begins between the oldest and the newest.
func (l eventLog[E]) firstKept(tx Tx, oldest, newest int64) (first int64, err error) {
	const never = 1_000_000_000 // as many events nobody keeps
	if newest-oldest < never {
		return newest - int64(l.keep.Events) + 1, nil
	}
	err = row(tx, l.sql(logKept, int64(l.keep.Events)), &first)
	return first, err
}

// newest returns the number that the next event follows.
func (l eventLog[E]) newest(tx Tx) (seq int64, err error) {
	if err = row(tx, l.sql(logNewest), &seq); err == nil && seq == 0 && l.part != "" {
		err = tx.Row(logBase, nil, &seq)
	}
	return seq, err
}

// watch yields the events after a number, or after the newest for a negative
// one, and goes on with those to come.
func (l eventLog[E]) watch(ctx context.Context, after int64) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		err := l.follow(ctx, after, func(e E) bool { return yield(e, nil) })
		if err != nil && !errors.Is(err, l.compacted) {
			err = fmt.Errorf("watching events: %w", err)
		}
		if err != nil {
			var nothing E
			yield(nothing, err)
		}
	}
}

// Pages of events are shorter than others: each reader of a feed has one in
// memory, and others wait for their turn until it is read.
const (
	eventPage  = 256
	eventBytes = 512 << 10
)

// follow returns nil once the caller breaks.
func (l eventLog[E]) follow(ctx context.Context, after int64, yield func(E) bool) error {
	if l.inside {
		return fmt.Errorf("within a transaction: %w", errors.ErrUnsupported)
	}
	if after < 0 {
		err := l.db.Read(ctx, func(tx Tx) (err error) {
			after, err = l.newest(tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	// To be told of changes costs more than to look for events that are there.
	var changed <-chan struct{}
	at := int64(0) // the time of the event after, once it is known
	for size := evenly(eventPage); ; {
		p, err := l.read(ctx, after, size.size)
		if err != nil {
			return err
		}
		if !p.follows(after, at) {
			return fmt.Errorf("%w: what follows event %d", l.compacted, after)
		}
		size.turn(len(p.entries), p.full)
		at = p.anchor
		for _, e := range p.entries {
			if !yield(e.event) {
				return nil
			}
			after, at = e.seq, e.ms
		}
		if len(p.entries) > 0 {
			continue
		}
		if changed != nil {
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		changed = l.db.Changed(ctx) // before the next look: nothing is missed
	}
}

// events is a page of events that follow each other. Its anchor is the time of
// the event that the reader stands at, as it is now, or 0 if that is not kept: a
// database may be exchanged for another under those who read it.
type events[E any] struct {
	page[logged[E], int64]
	anchor int64
	gap    bool  // another event comes next
	base   int64 // what the first event follows, if there is none yet
}

// follows reports whether a reader at the event after can go on: the event is
// the one that it was, at the time at, unless that is not known and 0. One that
// is not kept any more has others after it, since the newest is never deleted.
func (p *events[E]) follows(after, at int64) bool {
	switch {
	case p.gap && len(p.entries) == 0:
		return false
	case p.anchor != 0:
		return at == 0 || at == p.anchor
	}
	return len(p.entries) > 0 || after == p.base
}

// read reads the next events after a number, from one snapshot.
func (l eventLog[E]) read(ctx context.Context, after int64, size int) (p events[E], err error) {
	err = l.feeds.read(ctx, l.db, func(tx Tx) error {
		p = events[E]{page: page[logged[E], int64]{most: eventBytes}}
		err := p.page.read(tx, l.sql(limited(l.after, size+1), after), func(scan func(...any) error) error {
			e, err := l.scan(scan)
			switch {
			case err != nil, p.gap:
				return err
			case e.seq == after:
				p.anchor = e.ms
				return nil
			case e.seq != after+int64(len(p.entries))+1:
				p.gap = true
				return nil
			}
			if err = p.take(e.seq, e.bytes); err == nil {
				p.entries = append(p.entries, e)
			}
			return err
		})
		if err == nil && l.part != "" && len(p.entries) == 0 && p.anchor == 0 {
			err = tx.Row(logBase, nil, &p.base)
		}
		if err != nil || l.complete == nil || len(p.entries) == 0 {
			return err
		}
		n, err := l.complete(tx, p.entries)
		if err == nil && n < len(p.entries) {
			p.cut(n)
		}
		return err
	})
	return p, err
}
