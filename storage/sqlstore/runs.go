package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
)

// runPage bounds how many runs, with all that belongs to them, are in memory at
// once.
const runPage = 16

// runTable is what a domain says of its runs, which are of type R. Their table
// has the columns id and n, in the order in which they were created.
type runTable[R any] struct {
	name, columns string
	part          string // column that tells the runs of one thing from those of another; may be empty
	notFound      error

	scan func(scan func(dest ...any) error) (scannedRun[R], error)
	// complete adds to a run what is kept elsewhere, and returns how long that
	// is. It may be nil.
	complete func(tx Tx, r *scannedRun[R]) (int, error)
}

// scannedRun is a run as it is read.
type scannedRun[R any] struct {
	n     int64
	id    string
	bytes int // how much it adds to a page
	run   R
	fault error // why it is not whole
}

// runs are those of a domain, or of one thing of it.
type runs[R any] struct {
	*runTable[R]
	of []byte // the thing, if the table has parts
}

// where selects runs.
func (t runs[R]) where(condition string, args ...any) query {
	return t.only(query{"SELECT " + t.columns + " FROM " + t.name + " WHERE " + condition, args})
}

// only leaves out those of other things.
func (t runs[R]) only(q query) query {
	if t.part != "" {
		q.and(t.part, t.of)
	}
	return q
}

// get reads a run.
func (t runs[R]) get(ctx context.Context, db DB, id string) (run R, err error) {
	err = db.Read(ctx, func(tx Tx) (err error) {
		run, err = t.one(tx, t.where("id = ?1", []byte(id)))
		return err
	})
	if err != nil {
		var nothing R
		return nothing, fmt.Errorf("reading run %q: %w", id, err)
	}
	return run, nil
}

// one reads the one run that a query selects, or returns notFound.
func (t runs[R]) one(tx Tx, q query) (run R, err error) {
	p, err := t.page(tx, q)
	switch {
	case err != nil:
		return run, err
	case len(p.entries) == 0:
		return run, t.notFound
	}
	return p.entries[0].run, p.entries[0].fault
}

// history lists what selected leaves of all runs, newest first, or of those that
// follow a run. Between pages nothing is held open, so the caller may take its
// time.
func (t runs[R]) history(ctx context.Context, db DB, after string, selected func(*query)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		failed := func(err error) error { return fmt.Errorf("reading the history: %w", err) }
		before, err := t.number(ctx, db, after)
		if err != nil {
			var nothing R
			yield(nothing, failed(err))
			return
		}
		all := list(paging(runPage), before, func(before int64, size int) (p page[scannedRun[R], int64], err error) {
			q := t.where("n < ?1", before)
			selected(&q)
			q.text += " ORDER BY n DESC LIMIT " + strconv.Itoa(size)
			err = db.Read(ctx, func(tx Tx) (err error) {
				p, err = t.page(tx, q)
				return err
			})
			if err != nil {
				err = failed(err)
			}
			return p, err
		})
		whole(all, func(r scannedRun[R]) (R, error) { return r.run, r.fault })(yield)
	}
}

// number returns the number of a run, and one that all runs precede for "".
func (t runs[R]) number(ctx context.Context, db DB, id string) (n int64, err error) {
	if id == "" {
		return math.MaxInt64, nil
	}
	q := t.only(query{"SELECT n FROM " + t.name + " WHERE id = ?1", []any{[]byte(id)}})
	err = db.Row(ctx, q.text, q.args, &n)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: run %q", t.notFound, id)
	}
	return n, err
}

// page reads a page of runs with all that belongs to them.
func (t runs[R]) page(tx Tx, q query) (p page[scannedRun[R], int64], err error) {
	err = p.read(tx, q, func(scan func(...any) error) error {
		r, err := t.scan(scan)
		if err != nil {
			return err
		}
		if err := p.take(r.n, r.bytes); err != nil {
			return err
		}
		p.entries = append(p.entries, r)
		return nil
	})
	if err != nil {
		return p, err
	}
	err = p.complete(0, func(r *scannedRun[R]) (size int, err error) {
		if t.complete != nil {
			size, err = t.complete(tx, r)
		}
		if r.fault != nil {
			r.fault = fmt.Errorf("%w: run %q", r.fault, r.id)
		}
		return size, err
	})
	return p, err
}
