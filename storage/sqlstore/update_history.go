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
		for err == nil {
			var page []storedRun
			page, before, err = j.page(ctx, q, before)
			if err != nil {
				break
			}
			for _, run := range page {
				if !yield(run.Run, run.fault) {
					return
				}
			}
			if len(page) < runPage {
				return
			}
		}
		yield(update.Run{}, fmt.Errorf("reading the history: %w", err))
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

// page returns the newest runs that q selects among those before a number,
// and the number of the last.
func (j *Journal) page(ctx context.Context, q update.Query, before int64) ([]storedRun, int64, error) {
	where, args := "n < ?1", []any{before}
	and := func(column string, value any) {
		args = append(args, value)
		where += " AND " + column + " = ?" + strconv.Itoa(len(args))
	}
	if q.Package != "" {
		and("package", []byte(q.Package))
	}
	if q.RequestID != "" {
		and("request_id", []byte(q.RequestID))
	}
	if q.Live {
		where += " AND live = 1"
	}
	where += " ORDER BY n DESC LIMIT " + strconv.Itoa(runPage)
	var page []storedRun
	last := before
	err := j.db.Read(ctx, func(tx Tx) (err error) {
		page, last, err = getRuns(tx, where, args...)
		return err
	})
	return page, last, err
}

// getRun reads the one run that where selects, or returns ErrNotFound.
func getRun(tx Tx, where string, args ...any) (update.Run, error) {
	runs, _, err := getRuns(tx, where, args...)
	if err != nil {
		return update.Run{}, err
	}
	if len(runs) == 0 {
		return update.Run{}, update.ErrNotFound
	}
	return runs[0].Run, runs[0].fault
}

// storedRun is a run, which is not whole if it has a fault.
type storedRun struct {
	update.Run
	fault error
}

// getRuns reads runs with their steps, and the number of the last.
func getRuns(tx Tx, where string, args ...any) (runs []storedRun, last int64, err error) {
	var numbers []int64
	err = tx.Query(runColumns+where, args, func(scan func(...any) error) error {
		run, n, err := scanRun(scan)
		runs, numbers, last = append(runs, run), append(numbers, n), n
		return err
	})
	for i := range numbers {
		if err != nil {
			break
		}
		var fault error
		if runs[i].Steps, fault, err = getSteps(tx, numbers[i]); fault != nil {
			runs[i].fault = fmt.Errorf("%w: run %q", fault, runs[i].ID)
		}
	}
	return runs, last, err
}

func scanRun(scan func(...any) error) (run storedRun, n int64, err error) {
	var id, pkg, item []byte
	var request, detail string
	var created, updated, ended int64
	err = scan(&n, &id, &pkg, &item, &run.Token, &run.Rev, &run.Seq, &created, &updated, &ended, &request, &detail)
	if err != nil {
		return run, 0, err
	}
	fault := decodeDetail(detail, &run.Run)
	run.ID, run.Package, run.Item = string(id), string(pkg), string(item)
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
	if run.Request, err = decodeRequest(request); fault == nil {
		fault = err
	}
	if fault != nil {
		run.fault = fmt.Errorf("%w: run %q", fault, run.ID)
	}
	return run, n, nil
}

// getSteps reads the steps of a run, and what is wrong with them.
func getSteps(tx Tx, n int64) (steps []update.StepRecord, fault, err error) {
	const query = `SELECT record FROM upkeep_update_step WHERE run = ?1 ORDER BY n`
	err = tx.Query(query, []any{n}, func(scan func(...any) error) error {
		var record string
		if err := scan(&record); err != nil {
			return err
		}
		step, err := decodeStep(record)
		if err != nil {
			fault = err
		}
		steps = append(steps, step)
		return nil
	})
	return steps, fault, err
}
