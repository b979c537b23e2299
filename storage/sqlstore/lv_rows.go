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
	case len(v.IDs) > 0:
		list = s.rowsNamed
	case v.Status != lv.StatusAny || v.Deleted:
		list = s.rowsByState
	}
	err := lvCheckView(v)
	if err == nil {
		return list(ctx, id, v)
	}
	return func(yield func(lv.Row, error) bool) { yield(lv.Row{}, lvReading(err)) }
}

func lvReading(err error) error { return fmt.Errorf("reading rows: %w", err) }

func lvCheckView(v lv.View) error {
	switch {
	case v.AsOf < 0:
		return fmt.Errorf("%w: as of event %d", lv.ErrInvalid, v.AsOf)
	case v.AsOf > 0 && (v.Deleted || v.Status != lv.StatusAny):
		return fmt.Errorf("%w: a status of the past", lv.ErrInvalid)
	case !v.Working && (v.Deleted || v.Status != lv.StatusAny):
		return fmt.Errorf("%w: a status of rows that are not working rows", lv.ErrInvalid)
	case v.Status < lv.StatusAny || v.Status > lv.StatusChanged:
		return fmt.Errorf("%w: status %d", lv.ErrInvalid, v.Status)
	}
	return nil
}

// rowsAsOf lists a view that can be read as of an event.
func (s *Versions) rowsAsOf(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	var seq int64
	return pages(rowPage, func(last *lv.Row) (page []lv.Row, err error) {
		after := v.After
		if last == nil {
			seq = v.AsOf
		} else {
			after = last.ID
		}
		err = s.read(ctx, id, func(t lvTable) error {
			m, err := t.moment(seq)
			if err != nil {
				return err
			}
			page, err = t.rows(lvPageQuery(t, v, m, after))
			if err == nil && seq == 0 && len(page) == rowPage {
				err = t.Row(lvEventNewest, nil, &seq)
			}
			return err
		})
		if err != nil {
			return nil, lvReading(err)
		}
		return page, nil
	})
}

// rowsNamed lists the rows that a view names.
func (s *Versions) rowsNamed(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		var rows []lv.Row
		err := s.read(ctx, id, func(t lvTable) error {
			m, err := t.moment(v.AsOf)
			rows = rows[:0]
			for _, name := range v.IDs {
				if err != nil {
					return err
				}
				if name > v.After {
					var row []lv.Row
					row, err = t.rows(lvRowQuery(t, v, m, name))
					rows = append(rows, row...)
				}
			}
			return err
		})
		if err != nil {
			yield(lv.Row{}, lvReading(err))
			return
		}
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// rowsByState lists working rows by their status, which is not kept for the
// past: what does not fit in the first page is noted along with it.
func (s *Versions) rowsByState(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	var rest []lv.Row // without their contents
	return pages(rowPage, func(last *lv.Row) (page []lv.Row, err error) {
		err = s.read(ctx, id, func(t lvTable) (err error) {
			if last != nil {
				page = rest[:min(rowPage, len(rest))]
				return t.addContents(page)
			}
			if page, err = t.rows(lvPageQuery(t, v, lvMoment{now: true}, v.After)); err != nil || len(page) < rowPage {
				return err
			}
			rest, err = t.rows(lvKeysQuery(t, v, page[rowPage-1].ID))
			return err
		})
		if err != nil {
			return nil, lvReading(err)
		}
		if last != nil {
			rest = rest[len(page):]
		}
		return page, nil
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
	coalesce((SELECT version FROM upkeep_lv_event WHERE seq = ?1), 0)`

// moment finds the moment after an event, which is now for 0.
func (t lvTable) moment(seq int64) (m lvMoment, err error) {
	if m.seq = seq; seq == 0 {
		m.now = true
		return m, nil
	}
	var oldest, newest int64
	if err := t.Row(lvMomentFind, []any{seq}, &oldest, &newest, &m.version); err != nil {
		return m, err
	}
	if seq > newest {
		return m, fmt.Errorf("%w: event %d", lv.ErrNotFound, seq)
	}
	own, err := t.seq()
	if err != nil {
		return m, err
	}
	if m.now = seq >= own; !m.now && seq < oldest {
		return m, fmt.Errorf("%w: event %d", lv.ErrCompacted, seq)
	}
	return m, nil
}

// lvQuery is a statement with its arguments.
type lvQuery struct {
	text   string
	args   []any
	status bool // of working rows, which have one
}

// arg adds an argument and returns its place.
func (q *lvQuery) arg(value any) string {
	q.args = append(q.args, value)
	return "?" + strconv.Itoa(len(q.args))
}

// A page ends.
var lvRowLimit = " LIMIT " + strconv.Itoa(rowPage)

const lvRowColumns = `SELECT r.name, v.id, r.created_ms, r.state, v.time_ms, v.forgotten, b.content FROM `

// lvPageQuery reads the rows of a view after one, in their order.
func lvPageQuery(t lvTable, v lv.View, m lvMoment, after string) lvQuery {
	q := lvViewQuery(t, v, m, ">", after)
	q.text += lvRowLimit
	return q
}

// lvRowQuery reads the row of a view that has a name.
func lvRowQuery(t lvTable, v lv.View, m lvMoment, name string) lvQuery {
	return lvViewQuery(t, v, m, "=", name)
}

// lvKeysQuery reads all rows of a view after one, without their contents.
func lvKeysQuery(t lvTable, v lv.View, after string) lvQuery {
	return lvQuery{
		text: `
SELECT r.name, r.working, r.created_ms, r.state, 0, 0, NULL FROM upkeep_lv_row r
WHERE r.tbl = ?1 AND r.name > ?2` + lvStates(v) + ` ORDER BY r.name`,
		args: []any{t.n, []byte(after)}, status: true,
	}
}

// lvViewQuery reads the rows of a view whose names compare with one.
func lvViewQuery(t lvTable, v lv.View, m lvMoment, compare, name string) lvQuery {
	q := lvQuery{args: []any{t.n, []byte(name)}, status: v.Working && v.AsOf == 0}
	from, named, where := "upkeep_lv_row r", "r", ""
	switch gray := " AND g.env = "; {
	case v.Working && compare == ">" && lvStates(v) != "": // of itself SQLite takes the primary key
		from = "(SELECT r.tbl, r.name FROM upkeep_lv_row r WHERE r.tbl = ?1 AND r.name > ?2" + lvStates(v) +
			" ORDER BY r.name" + lvRowLimit + ") k\nJOIN upkeep_lv_row r ON r.tbl = k.tbl AND r.name = k.name"
		named = "k"
	case v.Working:
		where = lvStates(v)
	case v.Env == lv.Production:
		if m.now {
			where = " AND r.live > 0"
		}
	case v.Own: // what the gray has ever pointed at
		from, named = "upkeep_lv_gray g JOIN upkeep_lv_row r ON r.tbl = g.tbl AND r.name = g.name", "g"
		where = gray + q.arg([]byte(v.Env))
	case m.now:
		from += " LEFT JOIN upkeep_lv_gray g ON g.tbl = r.tbl AND g.name = r.name" + gray + q.arg([]byte(v.Env))
	}
	content := "JOIN" // what shows nothing drops out
	if v.Deleted || v.Own && !v.Working {
		content = "LEFT JOIN"
	}
	q.text = lvRowColumns + from +
		"\nJOIN upkeep_lv_version v ON v.id = " + q.shown(v, m) +
		"\n" + content + " upkeep_lv_version b ON b.id = v.body" +
		"\nWHERE " + named + ".tbl = ?1 AND " + named + ".name " + compare + " ?2" + where +
		"\nORDER BY " + named + ".name"
	return q
}

// lvStates selects rows by their status, as SQL.
func lvStates(v lv.View) string {
	switch {
	case v.Deleted:
		return " AND r.state = " + strconv.Itoa(lvDeleted)
	case v.Status == lv.StatusPublished:
		return " AND r.state = " + strconv.Itoa(lvSame)
	case v.Status == lv.StatusChanged:
		return " AND r.state = " + strconv.Itoa(lvChanged)
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
		return "g.version"
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

// rows reads rows.
func (t lvTable) rows(q lvQuery) (rows []lv.Row, err error) {
	err = t.Query(q.text, q.args, func(scan func(...any) error) error {
		var id, created, state, updated, forgotten int64
		var name, content []byte
		if err := scan(&name, &id, &created, &state, &updated, &forgotten, &content); err != nil {
			return err
		}
		if forgotten > 0 {
			return fmt.Errorf("%w: version %d", lv.ErrCompacted, id)
		}
		r := lv.Row{
			ID: string(name), Version: lv.VersionID(id), Content: content,
			CreatedAt: utc(created), UpdatedAt: utc(updated),
		}
		switch {
		case q.status && state == lvSame:
			r.Status = lv.StatusPublished
		case q.status:
			r.Status = lv.StatusChanged
		}
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

const lvContentFind = `
SELECT v.time_ms, b.content FROM upkeep_lv_version v LEFT JOIN upkeep_lv_version b ON b.id = v.body WHERE v.id = ?1`

// addContents completes rows that lvKeysQuery has read.
func (t lvTable) addContents(rows []lv.Row) error {
	for i := range rows {
		var updated int64
		var content []byte
		err := t.Row(lvContentFind, []any{int64(rows[i].Version)}, &updated, &content)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: version %d", lv.ErrCompacted, rows[i].Version)
		}
		if err != nil {
			return err
		}
		rows[i].UpdatedAt, rows[i].Content = utc(updated), content
	}
	return nil
}
