package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/upkeep-go/upkeep/lv"
)

// rowPage bounds how many rows of a view are in memory at once.
const rowPage = 256

// lvPage is a page of a view. Its keys are the names of rows that the view shows
// or not.
type lvPage = page[lv.Row, string]

// Rows keeps the promise of lv.VersionStore. Between pages nothing is held
// open: the first page fixes the moment, and the others are read as of it.
func (s *Versions) Rows(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		if err := v.Check(); err != nil {
			yield(lv.Row{}, err)
			return
		}
		rows := s.rowsAsOf
		switch {
		case lvStates(v) != "":
			rows = s.rowsByState
		case v.Rows != nil:
			rows = s.rowsNamed
		}
		rows(ctx, id, v, func(r lv.Row, err error) bool {
			if r.Corrupt {
				err = &lv.CorruptError{Table: id, Row: r.ID, Version: r.Version}
			}
			return yield(r, lvWhile("reading rows", err))
		})
	}
}

// rowsAsOf lists a view that can be read as of an event.
func (s *Versions) rowsAsOf(ctx context.Context, id lv.TableID, v lv.View, yield func(lv.Row, error) bool) {
	seq := v.AsOf
	list(evenly(rowPage), v.After, func(after string, size int) (p lvPage, err error) {
		var then int64
		err = s.read(ctx, id, func(t lvTable) error {
			p = lvPage{}
			m, err := t.moment(seq)
			if err == nil {
				err = t.addRows(&p, lvViewQuery(t, v, m, ">", after, size))
			}
			if err == nil {
				then, err = t.pin(seq, p.full || len(p.keys) == size)
			}
			return err
		})
		seq = then
		return p, err
	})(yield)
}

// pin returns the event that the rest of a list is read as of, if there is one.
func (t lvTable) pin(seq int64, more bool) (int64, error) {
	if seq > 0 || !more {
		return seq, nil
	}
	q := t.s.events.sql(logNewest)
	err := t.Row(q.text, q.args, &seq)
	return seq, err
}

// rowsNamed lists the rows that a view names, each by a query of its own, of
// which a snapshot has the time for a page.
func (s *Versions) rowsNamed(ctx context.Context, id lv.TableID, v lv.View, yield func(lv.Row, error) bool) {
	seq, names := v.AsOf, v.Rows
	pages(yield, func() ([]lv.Row, bool, error) {
		var p lvPage
		var rest []string
		var then int64
		err := s.read(ctx, id, func(t lvTable) error {
			p, rest = lvPage{}, names
			m, err := t.moment(seq)
			for ; err == nil && len(rest) > 0 && p.bytes < pageBytes && len(names)-len(rest) < rowPage; rest = rest[1:] {
				if rest[0] > v.After {
					err = t.addRows(&p, lvViewQuery(t, v, m, "=", rest[0], rowPage))
				}
			}
			if err == nil {
				then, err = t.pin(seq, len(rest) > 0)
			}
			return err
		})
		seq, names = then, rest
		return p.entries, len(rest) > 0, err
	})
}

// rowsByState lists working rows by their status, which is not kept for the
// past: what does not fit in the first page is noted along with it.
func (s *Versions) rowsByState(ctx context.Context, id lv.TableID, v lv.View, yield func(lv.Row, error) bool) {
	var rest []lv.Row // without their contents
	first := true
	pages(yield, func() ([]lv.Row, bool, error) {
		var p lvPage
		err := s.read(ctx, id, func(t lvTable) (err error) {
			p = lvPage{}
			if first {
				rest, err = t.addByState(&p, v)
				return err
			}
			p.entries = slices.Clone(rest[:min(rowPage, len(rest))]) // or rest would keep their contents
			return p.complete(0, t.addContent)
		})
		if !first {
			rest = rest[len(p.entries):]
		}
		first = false
		return p.entries, len(rest) > 0, err
	})
}

// addByState reads the first page of working rows by their status, and of the
// others all but the contents.
func (t lvTable) addByState(p *lvPage, v lv.View) (rest []lv.Row, err error) {
	now := lvMoment{now: true}
	if v.Rows == nil {
		err = t.addRows(p, lvViewQuery(t, v, now, ">", v.After, rowPage))
		if n := len(p.keys); err == nil && (p.full || n == rowPage) {
			err = t.addKeys(&rest, v, ">", p.keys[n-1])
		}
		return rest, err
	}
	for _, name := range v.Rows {
		switch {
		case err != nil || name <= v.After:
		case p.bytes >= pageBytes || len(p.keys) >= rowPage:
			err = t.addKeys(&rest, v, "=", name)
		default:
			err = t.addRows(p, lvViewQuery(t, v, now, "=", name, rowPage))
		}
	}
	return rest, err
}

// lvMoment is when a view is read.
type lvMoment struct {
	seq     int64
	now     bool  // the table is still as it was then
	version int64 // the last id given then
}

const lvMomentFind = `
SELECT coalesce((SELECT min(seq) FROM upkeep_lv_event), 0), coalesce((SELECT max(seq) FROM upkeep_lv_event), 0),
	coalesce((SELECT version FROM upkeep_lv_event WHERE seq = ?1), 0),
	(SELECT count(*) FROM upkeep_lv_event WHERE seq = ?1), (SELECT count(*) FROM upkeep_history WHERE base > ?1)`

// moment finds the moment after an event, which is now for 0.
func (t lvTable) moment(seq int64) (m lvMoment, err error) {
	if m.seq = seq; seq == 0 {
		m.now = true
		return m, nil
	}
	var oldest, newest, there, later int64
	if err := t.Row(lvMomentFind, []any{seq}, &oldest, &newest, &m.version, &there, &later); err != nil {
		return m, err
	}
	if seq > newest {
		return m, fmt.Errorf("%w: event %d", lv.ErrNotFound, seq)
	}
	own, err := t.seq()
	if err != nil {
		return m, err
	}
	lost := later > 0 && there == 0 && seq != own // it may be of a history that was given up
	if m.now = seq >= own; lost || !m.now && seq < oldest {
		return m, fmt.Errorf("%w: event %d", lv.ErrCompacted, seq)
	}
	return m, nil
}

// lvQuery is a page of a view as a statement.
type lvQuery struct {
	query
	statuses  bool // it is about working rows, which have one
	deletions bool // it shows them
}

// lvViewQuery reads a page of the rows whose names compare with one, in their
// order: with what a view shows of them, if it shows something. The page is
// cut in a subquery, so that it costs no more than its rows.
func lvViewQuery(t lvTable, v lv.View, m lvMoment, compare, name string, size int) lvQuery {
	q := lvQuery{
		query:    query{args: []any{t.n, []byte(name)}},
		statuses: v.Working && v.AsOf == 0, deletions: v.Deleted || v.Own && !v.Working,
	}
	cut := func(columns, from, where string) string {
		return "(SELECT " + columns + " FROM " + from + " WHERE tbl = ?1 AND name " + compare + " ?2" + where +
			" ORDER BY name LIMIT " + strconv.Itoa(size) + ")"
	}
	const columns = "tbl, name, created_ms, state, working, live"
	const row = " JOIN upkeep_lv_row r ON r.tbl = k.tbl AND r.name = k.name"
	var from string
	switch {
	case v.Working && lvStates(v) != "": // for more columns SQLite would take the primary key
		from = cut("tbl, name", "upkeep_lv_row", lvStates(v)) + " k" + row
	case v.Own && !v.Working && v.Env != lv.Production: // what the gray has ever pointed at
		from = cut("tbl, name, version", "upkeep_lv_gray", " AND env = "+q.arg([]byte(v.Env))) + " k" + row
	case !v.Working && v.Env == lv.Production && m.now:
		from = cut(columns, "upkeep_lv_row", " AND live > 0") + " r"
	default:
		from = cut(columns, "upkeep_lv_row", "") + " r"
	}
	if !v.Working && !v.Own && v.Env != lv.Production && m.now {
		from += " LEFT JOIN upkeep_lv_gray g ON g.tbl = r.tbl AND g.name = r.name AND g.env = " + q.arg([]byte(v.Env))
	}
	state := "r.state"
	if q.statuses && !m.now { // a later page of a list that has been written to
		state = "CASE WHEN v.digest = (SELECT l.digest FROM upkeep_lv_version l WHERE l.id = " + q.pointer(lv.Production, m) +
			") THEN " + strconv.Itoa(lvSame) + " ELSE " + strconv.Itoa(lvChanged) + " END"
	}
	q.text = "SELECT r.name, coalesce(v.id, 0), r.created_ms, " + state + ", coalesce(v.time_ms, 0)," +
		" coalesce(v.forgotten, 0), v.digest, b.content FROM " + from +
		"\nLEFT JOIN upkeep_lv_version v ON v.id = " + q.shown(v, m) +
		"\nLEFT JOIN upkeep_lv_version b ON b.id = v.body" +
		"\nORDER BY r.name"
	return q
}

// lvStates selects rows by their status, as SQL.
func lvStates(v lv.View) string {
	switch {
	case v.Deleted:
		return " AND state = " + strconv.Itoa(lvDeleted)
	case v.Status == lv.StatusPublished:
		return " AND state = " + strconv.Itoa(lvSame)
	case v.Status == lv.StatusChanged:
		return " AND state = " + strconv.Itoa(lvChanged)
	}
	return ""
}

// shown is the version of the row r that a view shows, as SQL.
func (q *lvQuery) shown(v lv.View, m lvMoment) string {
	switch {
	case v.Working && m.now:
		return "r.working"
	case v.Working:
		return "(SELECT max(x.id) FROM upkeep_lv_version x WHERE x.tbl = r.tbl AND x.name = r.name AND x.id <= " +
			q.arg(m.version) + ")"
	case v.Env == lv.Production && m.now:
		return "r.live"
	case v.Env == lv.Production || v.Own && !m.now:
		return q.pointer(v.Env, m)
	case v.Own:
		return "k.version"
	case m.now:
		return "coalesce(nullif(g.version, 0), r.live)"
	}
	return "coalesce(nullif(" + q.pointer(v.Env, m) + ", 0), " + q.pointer(lv.Production, m) + ")"
}

// pointer is what an environment pointed at for the row r, as SQL.
func (q *lvQuery) pointer(env lv.Env, m lvMoment) string {
	return "(SELECT c.to_version FROM upkeep_lv_change c WHERE c.tbl = r.tbl AND c.env = " + q.arg([]byte(env)) +
		" AND c.name = r.name AND c.moved > 0 AND c.moved <= " + q.arg(m.seq) + " ORDER BY c.moved DESC LIMIT 1)"
}

// addRows reads rows into a page.
func (t lvTable) addRows(p *lvPage, q lvQuery) error {
	return p.read(t, q.query, func(scan func(...any) error) error {
		var id, created, state, updated, forgotten int64
		var name, digest, content []byte
		if err := scan(&name, &id, &created, &state, &updated, &forgotten, &digest, &content); err != nil {
			return err
		}
		shown := id != 0 && (digest != nil || q.deletions)
		if !shown {
			content = nil
		}
		if err := p.take(string(name), len(content)); err != nil || !shown {
			return err
		}
		if forgotten > 0 {
			return fmt.Errorf("%w: version %d", lv.ErrCompacted, id)
		}
		r := lv.Row{ID: string(name), Version: lv.VersionID(id), CreatedAt: utc(created)}
		if q.statuses {
			r.Status = lvStatus(state)
		}
		lvShowRow(&r, updated, content, digest)
		p.entries = append(p.entries, r)
		return nil
	})
}

// lvShowRow tells what the version of a row shows.
func lvShowRow(r *lv.Row, updated int64, content, digest []byte) {
	if r.UpdatedAt, r.Content = utc(updated), content; !intact(content, digest) {
		r.Content, r.Corrupt = nil, true
	}
}

func lvStatus(state int64) lv.Status {
	if state == lvSame {
		return lv.StatusPublished
	}
	return lv.StatusChanged
}

// addKeys reads working rows by their status, without their contents.
func (t lvTable) addKeys(rows *[]lv.Row, v lv.View, compare, name string) error {
	text := "SELECT r.name, r.working, r.created_ms, r.state FROM" +
		" (SELECT tbl, name FROM upkeep_lv_row WHERE tbl = ?1 AND name " + compare + " ?2" + lvStates(v) + ") k" +
		" JOIN upkeep_lv_row r ON r.tbl = k.tbl AND r.name = k.name ORDER BY k.name"
	return t.Query(text, []any{t.n, []byte(name)}, func(scan func(...any) error) error {
		var created, state int64
		var name []byte
		var r lv.Row
		err := scan(&name, (*int64)(&r.Version), &created, &state)
		r.ID, r.CreatedAt, r.Status = string(name), utc(created), lvStatus(state)
		*rows = append(*rows, r)
		return err
	})
}

const lvContentFind = `
SELECT v.time_ms, v.digest, b.content FROM upkeep_lv_version v LEFT JOIN upkeep_lv_version b ON b.id = v.body WHERE v.id = ?1`

// addContent completes a row that has only its keys.
func (t lvTable) addContent(r *lv.Row) (int, error) {
	var updated int64
	var digest, content []byte
	err := t.Row(lvContentFind, []any{int64(r.Version)}, &updated, &digest, &content)
	lvShowRow(r, updated, content, digest)
	return len(content), unlessThere(err, lv.ErrCompacted, r.Version)
}
