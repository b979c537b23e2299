package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/upkeep-go/upkeep/update"
)

// runPage bounds how many runs, with all their steps, are in memory at once.
const runPage = 16

// runsPage is a page of runs, newest first.
type runsPage = page[faulty[update.Run], int64]

const runColumns = `SELECT n, id, package, item, token, rev, seq, created_ms, updated_ms, ended_ms, request, detail
FROM upkeep_update_run WHERE `

// Get keeps the promise of update.Journal.
func (j *Journal) Get(ctx context.Context, id string) (update.Run, error) {
	var run update.Run
	err := j.db.Read(ctx, func(tx Tx) (err error) {
		run, err = getRun(tx, "id = ?1", []byte(id))
		return err
	})
	if err != nil {
		return update.Run{}, fmt.Errorf("reading run %q: %w", id, err)
	}
	return run, nil
}

// History keeps the promise of update.Journal. Between pages nothing is held
// open, so the caller may take its time.
func (j *Journal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return func(yield func(update.Run, error) bool) {
		before, err := j.number(ctx, q.After)
		if err != nil {
			yield(update.Run{}, fmt.Errorf("reading the history: %w", err))
			return
		}
		sound(list(paging(runPage), before, func(before int64, size int) (runsPage, error) {
			return j.page(ctx, q, before, size)
		}))(yield)
	}
}

// number returns the number of a run, and one that all runs precede for "".
func (j *Journal) number(ctx context.Context, id string) (int64, error) {
	if id == "" {
		return math.MaxInt64, nil
	}
	var n int64
	err := j.db.Row(ctx, `SELECT n FROM upkeep_update_run WHERE id = ?1`, []any{[]byte(id)}, &n)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: run %q", update.ErrNotFound, id)
	}
	return n, err
}

// page returns the newest runs that q selects among those before a number.
func (j *Journal) page(ctx context.Context, q update.Query, before int64, size int) (p runsPage, err error) {
	of := query{runColumns + "n < ?1", []any{before}}
	if q.Package != "" {
		of.and("package", []byte(q.Package))
	}
	if q.RequestID != "" {
		of.and("request_id", []byte(q.RequestID))
	}
	if q.Live {
		of.text += " AND live = 1"
	}
	of.text += " ORDER BY n DESC LIMIT " + strconv.Itoa(size)
	err = j.db.Read(ctx, func(tx Tx) (err error) {
		p, err = getRuns(tx, of)
		return err
	})
	if err != nil {
		err = fmt.Errorf("reading the history: %w", err)
	}
	return p, err
}

// getRun reads the one run that where selects, or returns ErrNotFound.
func getRun(tx Tx, where string, args ...any) (update.Run, error) {
	p, err := getRuns(tx, query{runColumns + where, args})
	if err != nil {
		return update.Run{}, err
	}
	if len(p.entries) == 0 {
		return update.Run{}, update.ErrNotFound
	}
	return p.entries[0].entry, p.entries[0].fault
}

// getRuns reads a page of runs with their steps.
func getRuns(tx Tx, q query) (p runsPage, err error) {
	err = p.read(tx, q, func(scan func(...any) error) error {
		var n, created, updated, ended int64
		var id, pkg, item []byte
		var request, detail string
		var run update.Run
		err := scan(&n, &id, &pkg, &item, &run.Token, &run.Rev, &run.Seq, &created, &updated, &ended, &request, &detail)
		if err != nil {
			return err
		}
		if err := p.take(n, len(request)+len(detail)); err != nil {
			return err
		}
		fault := decodeDetail(detail, &run)
		run.ID, run.Package, run.Item = string(id), string(pkg), string(item)
		run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
		if run.Request, err = decodeRequest(request); fault == nil {
			fault = err
		}
		p.entries = append(p.entries, faulty[update.Run]{run, fault})
		return nil
	})
	if err != nil {
		return p, err
	}
	numbers := p.keys
	err = p.complete(0, func(run *faulty[update.Run]) (size int, err error) {
		size, err = addSteps(tx, numbers[0], run)
		numbers = numbers[1:]
		if run.fault != nil {
			run.fault = fmt.Errorf("%w: run %q", run.fault, run.entry.ID)
		}
		return size, err
	})
	return p, err
}

// addSteps completes a run, and returns how long its steps are.
func addSteps(tx Tx, n int64, run *faulty[update.Run]) (size int, err error) {
	const steps = `SELECT record FROM upkeep_update_step WHERE run = ?1 ORDER BY n`
	err = tx.Query(steps, []any{n}, func(scan func(...any) error) error {
		var record string
		if err := scan(&record); err != nil {
			return err
		}
		step, err := decodeStep(record)
		if err != nil {
			run.fault = err
		}
		run.entry.Steps = append(run.entry.Steps, step)
		size += len(record)
		return nil
	})
	return size, err
}
