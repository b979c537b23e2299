package sqlstore

import (
	"context"
	"iter"

	"github.com/upkeep-go/upkeep/update"
)

// updateRuns is the table of a Journal's runs.
var updateRuns = runs[update.Run]{runTable: &runTable[update.Run]{
	name:     "upkeep_update_run",
	columns:  "n, id, package, item, token, rev, seq, created_ms, updated_ms, ended_ms, request, detail",
	notFound: update.ErrNotFound,
	scan:     scanRun,
	complete: addSteps,
}}

// Get keeps the promise of update.Journal.
func (j *Journal) Get(ctx context.Context, id string) (update.Run, error) {
	return updateRuns.get(ctx, j.db, id)
}

// History keeps the promise of update.Journal.
func (j *Journal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return updateRuns.history(ctx, j.db, q.After, func(of *query) {
		if q.Package != "" {
			of.and("package", []byte(q.Package))
		}
		if q.RequestID != "" {
			of.and("request_id", []byte(q.RequestID))
		}
		if q.Live {
			of.text += " AND live = 1"
		}
	})
}

func scanRun(scan func(...any) error) (r scannedRun[update.Run], err error) {
	var created, updated, ended int64
	var id, pkg, item []byte
	var request, detail string
	run := &r.run
	err = scan(&r.n, &id, &pkg, &item, &run.Token, &run.Rev, &run.Seq, &created, &updated, &ended, &request, &detail)
	if err != nil {
		return r, err
	}
	r.id, r.bytes, r.fault = string(id), len(request)+len(detail), decodeDetail(detail, run)
	run.ID, run.Package, run.Item = r.id, string(pkg), string(item)
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
	var fault error
	if run.Request, fault = decodeRequest(request); r.fault == nil {
		r.fault = fault
	}
	return r, nil
}

// addSteps completes a run, and returns how long its steps are.
func addSteps(tx Tx, r *scannedRun[update.Run]) (size int, err error) {
	const steps = `SELECT record FROM upkeep_update_step WHERE run = ?1 ORDER BY n`
	err = tx.Query(steps, []any{r.n}, func(scan func(...any) error) error {
		var record string
		if err := scan(&record); err != nil {
			return err
		}
		step, err := decodeStep(record)
		if err != nil {
			r.fault = err
		}
		r.run.Steps = append(r.run.Steps, step)
		size += len(record)
		return nil
	})
	return size, err
}
