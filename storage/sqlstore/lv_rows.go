package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/upkeep-go/upkeep/lv"
)

// rowPage bounds how many rows of a view are in memory at once.
const rowPage = 256

// Rows keeps the promise of lv.VersionStore. Between pages nothing is held
// open: the first page fixes the moment, and the others are read as of it.
func (s *Versions) Rows(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	list := s.rowsAsOf
	switch {
	case v.Rows != nil:
		list = s.rowsNamed
	case v.Status != lv.StatusAny || v.Deleted:
		list = s.rowsByState
	}
	err := v.Check()
	if err == nil {
		rows := list(ctx, id, v)
		return func(yield func(lv.Row, error) bool) {
			for r, err := range rows {
				if r.Corrupt {
					err = &lv.CorruptError{Table: id, Row: r.ID, Version: r.Version}
				}
				if !yield(r, err) {
					return
				}
			}
		}
	}
	return func(yield func(lv.Row, error) bool) { yield(lv.Row{}, lvReading(err)) }
}

func lvReading(err error) error {
	if err != nil {
		err = lvWhile("reading rows", err)
	}
	return err
}

// rowsAsOf lists a view that can be read as of an event.
func (s *Versions) rowsAsOf(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return pages(func() func() ([]lv.Row, bool, error) {
		seq, after, size := v.AsOf, v.After, rowPage
		return func() ([]lv.Row, bool, error) {
			var p lvPage
			var newest int64
			err := s.read(ctx, id, func(t lvTable) error {
				m, err := t.moment(seq)
				if err != nil {
					return err
				}
				if p, err = t.page(lvViewQuery(t, v, m, ">", after, size)); err == nil && p.more && seq == 0 {
					err = t.Row(lvEventNewest, nil, &newest)
				}
				return err
			})
			seq, after, size = max(seq, newest), p.last, p.next
			return p.rows, p.more, lvReading(err)
		}
	})
}

// rowsNamed lists the rows that a view names, each by a query of its own, of
// which a snapshot has the time for a page. Of those that are selected by their
// state, which is not kept for the past, there is one page.
func (s *Versions) rowsNamed(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return pages(func() func() ([]lv.Row, bool, error) {
		seq, names := v.AsOf, v.Rows
		return func() (rows []lv.Row, more bool, err error) {
			var newest int64
			var rest []string
			err = s.read(ctx, id, func(t lvTable) error {
				m, err := t.moment(seq)
				rows, rest = nil, names
				for size := 0; err == nil && len(rest) > 0; rest = rest[1:] {
					if full := size >= pageBytes || len(names)-len(rest) >= rowPage; full && lvStates(v) == "" {
						break
					}
					if rest[0] > v.After {
						var p lvPage
						p, err = t.page(lvViewQuery(t, v, m, "=", rest[0], rowPage))
						rows, size = append(rows, p.rows...), size+p.bytes
					}
				}
				if err == nil && len(rest) > 0 && seq == 0 {
					err = t.Row(lvEventNewest, nil, &newest)
				}
				return err
			})
			seq, names = max(seq, newest), rest
			return rows, len(rest) > 0, lvReading(err)
		}
	})
}

// rowsByState lists working rows by their status, which is not kept for the
// past: what does not fit in the first page is noted along with it.
func (s *Versions) rowsByState(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return pages(func() func() ([]lv.Row, bool, error) {
		var rest []lv.Row // without their contents
		first := true
		return func() ([]lv.Row, bool, error) {
			var p lvPage
			var n int // of the rest
			err := s.read(ctx, id, func(t lvTable) (err error) {
				if !first {
					n, err = t.addContents(rest[:min(rowPage, len(rest))])
					return err
				}
				p, err = t.page(lvViewQuery(t, v, lvMoment{now: true}, ">", v.After, rowPage))
				if rest = nil; err == nil && p.more {
					rest, err = t.keys(v, p.last)
				}
				return err
			})
			if !first {
				p.rows, rest = rest[:n], rest[n:]
			}
			first = false
			return p.rows, len(rest) > 0, lvReading(err)
		}
	})
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

// lvQuery is a statement with its arguments.
type lvQuery struct {
	text      string
	size      int // of a full page
	args      []any
	statuses  bool // it is about working rows, which have one
	deletions bool // it shows them
}

// arg adds an argument and returns its place.
func (q *lvQuery) arg(value any) string {
	q.args = append(q.args, value)
	return "?" + strconv.Itoa(len(q.args))
}

// lvViewQuery reads a page of the rows whose names compare with one, in their
// order: with what a view shows of them, if it shows something. The page is
// cut in a subquery, so that it costs no more than its rows.
func lvViewQuery(t lvTable, v lv.View, m lvMoment, compare, name string, size int) lvQuery {
	q := lvQuery{
		size: size, args: []any{t.n, []byte(name)},
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

// lvPage is a page of a view.
type lvPage struct {
	rows  []lv.Row
	bytes int    // of their contents
	names int    // of rows that the view shows or not
	last  string // of them
	more  bool   // there may be more
	next  int    // the size of the next page
}

// page reads a page of a view.
func (t lvTable) page(q lvQuery) (p lvPage, err error) {
	err = t.Query(q.text, q.args, func(scan func(...any) error) error {
		if p.bytes >= pageBytes {
			return errPageFull
		}
		var id, created, state, updated, forgotten int64
		var name, digest, content []byte
		if err := scan(&name, &id, &created, &state, &updated, &forgotten, &digest, &content); err != nil {
			return err
		}
		p.last = string(name)
		p.names++
		switch {
		case id == 0, digest == nil && !q.deletions:
			return nil
		case forgotten > 0:
			return fmt.Errorf("%w: version %d", lv.ErrCompacted, id)
		}
		r := lv.Row{
			ID: p.last, Version: lv.VersionID(id), Content: content,
			CreatedAt: utc(created), UpdatedAt: utc(updated),
		}
		if !intact(content, digest) {
			r.Content, r.Corrupt = nil, true
		}
		if q.statuses {
			r.Status = lvStatus(state)
		}
		p.rows, p.bytes = append(p.rows, r), p.bytes+len(content)
		return nil
	})
	p.more, p.next = p.names == q.size, q.size
	if errors.Is(err, errPageFull) {
		p.more, p.next, err = true, fewer(p.names), nil
	}
	return p, err
}

func lvStatus(state int64) lv.Status {
	if state == lvSame {
		return lv.StatusPublished
	}
	return lv.StatusChanged
}

const (
	lvKeysFront = `
SELECT r.name, r.working, r.created_ms, r.state FROM (
	SELECT tbl, name FROM upkeep_lv_row WHERE tbl = ?1 AND name > ?2`
	lvKeysBack = `) k JOIN upkeep_lv_row r ON r.tbl = k.tbl AND r.name = k.name ORDER BY k.name`
)

// keys reads all rows of a view of working rows after one, without their
// contents.
func (t lvTable) keys(v lv.View, after string) (rows []lv.Row, err error) {
	err = t.Query(lvKeysFront+lvStates(v)+lvKeysBack, []any{t.n, []byte(after)}, func(scan func(...any) error) error {
		var id, created, state int64
		var name []byte
		err := scan(&name, &id, &created, &state)
		rows = append(rows, lv.Row{
			ID: string(name), Version: lv.VersionID(id), CreatedAt: utc(created), Status: lvStatus(state),
		})
		return err
	})
	return rows, err
}

const lvContentFind = `
SELECT v.time_ms, v.digest, b.content FROM upkeep_lv_version v LEFT JOIN upkeep_lv_version b ON b.id = v.body WHERE v.id = ?1`

// addContents completes rows that have only their keys, and returns how many.
func (t lvTable) addContents(rows []lv.Row) (n int, err error) {
	for size := 0; n < len(rows) && size < pageBytes; n++ {
		var updated int64
		var digest, content []byte
		err := t.Row(lvContentFind, []any{int64(rows[n].Version)}, &updated, &digest, &content)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: version %d", lv.ErrCompacted, rows[n].Version)
		}
		if err != nil {
			return n, err
		}
		rows[n].UpdatedAt, rows[n].Content = utc(updated), content
		if !intact(content, digest) {
			rows[n].Content, rows[n].Corrupt = nil, true
		}
		size += len(content)
	}
	return n, nil
}
