package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// Journal is the update.Journal of a DB.
type Journal struct {
	db                          DB
	d                           Dialect
	events                      eventLog[update.Event]
	insertRun, saveRun, moveRun string
}

var _ update.Journal = (*Journal)(nil)

// Journal returns the runs of package update.
func (a *Accessors) Journal() update.Journal { return storeOf(a, "update", "", NewJournal) }

// NewJournal returns the Journal of db. An engine makes one and keeps it.
func NewJournal(db DB, keep storage.Retention) *Journal {
	d := db.Dialect()
	return &Journal{
		db: db, d: d, events: newEventLog(db, keep, "update", updateEvents),
		insertRun: d.clocked(9, runInsert),
		saveRun:   d.clocked(5, runSave),
		moveRun:   d.clocked(6, runMove),
	}
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (j *Journal) On(db DB) *Journal {
	on := *j
	on.db, on.events = db, j.events.on(db)
	return &on
}

// Runs are numbered in the order of their creation. Their steps and events
// are rows of their own, so that a save writes what changed and no more.
const (
	runInsert = `
INSERT INTO upkeep_update_run
	(n, id, package, item, request_id, token, live, rev, seq, created_ms, updated_ms, ended_ms, request, detail)
VALUES ((SELECT coalesce(max(n), 0) + 1 FROM upkeep_update_run), ?1, ?2, ?3, ?4, ?5, ?6, 1,
	CASE WHEN CAST(?9 AS BIGINT) = 0 THEN 0 ELSE (SELECT coalesce(max(seq), 0) + 1 FROM upkeep_update_event) END,
	{now}, {now}, CASE WHEN CAST(?6 AS BIGINT) = 1 THEN 0 ELSE {now} END, ?7, ?8)
RETURNING n, seq, created_ms, updated_ms, ended_ms`

	// runSave is the save of a run that goes on under the same lease: it
	// leaves every index alone.
	runSave = `
UPDATE upkeep_update_run SET rev = rev + 1, updated_ms = {now}, detail = ?5
WHERE id = ?1 AND rev = ?2 AND item = ?3 AND token = ?4 AND live = 1 AND NOT EXISTS
	(SELECT 1 FROM upkeep_update_run AS other WHERE other.item = ?3 AND other.token > ?4)
RETURNING n, package, request, seq, created_ms, updated_ms, ended_ms,` + runNext

	// runMove is any other save.
	runMove = `
UPDATE upkeep_update_run SET rev = rev + 1, updated_ms = {now}, detail = ?5,
	item = ?3, token = ?4, live = ?6,
	ended_ms = CASE WHEN CAST(?6 AS BIGINT) = 1 THEN 0 WHEN ended_ms > 0 THEN ended_ms ELSE {now} END
WHERE id = ?1 AND rev = ?2 AND NOT EXISTS
	(SELECT 1 FROM upkeep_update_run AS other WHERE other.item = ?3 AND other.token > ?4)
RETURNING n, package, request, seq, created_ms, updated_ms, ended_ms,` + runNext

	// runNext is the number of the next event.
	runNext = ` (SELECT coalesce(max(e.seq), 0) + 1 FROM upkeep_update_event AS e)`

	// runLeaves ends the lease of a run that is done.
	runLeaves = `
UPDATE upkeep_lease SET owner = NULL, process = ''
WHERE item = ?1 AND token = ?2 AND owner = ?3`

	runFence = `SELECT coalesce(max(token), 0) FROM upkeep_update_run WHERE item = ?1`

	stepPut = `
INSERT INTO upkeep_update_step (run, n, record) VALUES (?1, ?2, ?3)
ON CONFLICT (run, n) DO UPDATE SET record = excluded.record`
)

// Create keeps the promise of update.Journal.
func (j *Journal) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if r.ID == "" {
		return update.Run{}, fmt.Errorf("%w: a run has an id", update.ErrInvalid)
	}
	var run update.Run
	err := j.db.Write(ctx, func(tx Tx) error {
		if err := j.events.lock(tx); err != nil {
			return err
		}
		run = r
		earlier, err := find(tx, r)
		if err != nil {
			return err
		}
		if earlier != nil {
			run = *earlier
			return update.ErrExists
		}
		var greatest int64
		if err := tx.Row(runFence, []any{[]byte(r.Item)}, &greatest); err != nil {
			return err
		}
		if greatest > r.Token {
			return update.ErrStale
		}
		n, err := j.insert(tx, &run, len(events))
		if err != nil {
			return err
		}
		if err := putSteps(tx, n, run.Steps, func(string) bool { return true }); err != nil {
			return err
		}
		return j.append(tx, run.Seq, run, events)
	})
	if errors.Is(err, update.ErrExists) {
		return run, fmt.Errorf("%w: %q", update.ErrExists, run.ID)
	}
	if err != nil {
		return update.Run{}, fmt.Errorf("creating run %q: %w", r.ID, err)
	}
	return run.Clone(), nil
}

// Save keeps the promise of update.Journal. Its result shares the steps of r:
// to copy thousands costs more than to write one.
func (j *Journal) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	var run update.Run
	ends, err := j.endsLease(ctx, r)
	if err != nil {
		return run, fmt.Errorf("saving run %q: %w", r.ID, err)
	}
	err = j.db.Write(ctx, func(tx Tx) error {
		if ends {
			// Before the lock of the journal, which others take while they
			// have that of a lease.
			if err := tx.Exec(runLeaves, []byte(lease.Item("update", r.Item)), r.Token, []byte(r.Owner)); err != nil {
				return err
			}
		}
		if err := j.events.lock(tx); err != nil {
			return err
		}
		run = r
		n, next, err := j.replace(tx, &run)
		if err != nil {
			return err
		}
		if err := putSteps(tx, n, run.Steps, func(step string) bool { return names(events, step) }); err != nil {
			return err
		}
		return j.append(tx, next, run, events)
	})
	if err != nil {
		return update.Run{}, fmt.Errorf("saving run %q: %w", r.ID, err)
	}
	return run, nil
}

// endsLease reports whether a save of r ends a lease, for which there must be
// tables. Of those of a newer library no Locker here has given one.
func (j *Journal) endsLease(ctx context.Context, r update.Run) (bool, error) {
	db, ok := j.db.(*tabled)
	if !r.State.Done() || !ok { // without it all tables are there
		return r.State.Done(), nil
	}
	err := db.of("lease").ready(ctx)
	if errors.Is(err, storage.ErrNewer) {
		return false, nil
	}
	return err == nil, err
}

// find returns the run that has the request or the id of r, or nil.
func find(tx Tx, r update.Run) (*update.Run, error) {
	if r.Request.By.RequestID != "" {
		run, err := updateRuns.one(tx, updateRuns.where("package = ?1 AND request_id = ?2", []byte(r.Package), []byte(r.Request.By.RequestID)))
		if !errors.Is(err, update.ErrNotFound) {
			return &run, err
		}
	}
	run, err := updateRuns.one(tx, updateRuns.where("id = ?1", []byte(r.ID)))
	if errors.Is(err, update.ErrNotFound) {
		return nil, nil
	}
	return &run, err
}

// insert writes a new run without its steps, completes it and returns its
// number. So many events are written next.
func (j *Journal) insert(tx Tx, run *update.Run, events int) (n int64, err error) {
	request, err := encode(requestOf(run.Request))
	if err != nil {
		return 0, err
	}
	detail, err := encode(detailOf(*run))
	if err != nil {
		return 0, err
	}
	var requestID any // NULL for none: the index of requests is unique
	if run.Request.By.RequestID != "" {
		requestID = []byte(run.Request.By.RequestID)
	}
	var created, updated, ended int64
	err = tx.Row(j.insertRun, j.d.withNow([]byte(run.ID), []byte(run.Package), []byte(run.Item), requestID,
		run.Token, flag(!run.State.Done()), request, detail, int64(events)), &n, &run.Seq, &created, &updated, &ended)
	run.Rev = 1
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
	return n, err
}

// replace writes a run without its steps and completes it. It returns the number
// of the run, and that of its next event.
func (j *Journal) replace(tx Tx, run *update.Run) (n, next int64, err error) {
	detail, err := encode(detailOf(*run))
	if err != nil {
		return 0, 0, err
	}
	var pkg []byte
	var request string
	var created, updated, ended int64
	dest := []any{&n, &pkg, &request, &run.Seq, &created, &updated, &ended, &next}
	args := []any{[]byte(run.ID), run.Rev, []byte(run.Item), run.Token, detail}
	err = sql.ErrNoRows
	if !run.State.Done() {
		err = tx.Row(j.saveRun, j.d.withNow(slices.Clone(args)...), dest...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.Row(j.moveRun, j.d.withNow(append(args, flag(!run.State.Done()))...), dest...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.Row(`SELECT n FROM upkeep_update_run WHERE id = ?1`, []any{[]byte(run.ID)}, &n)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, 0, update.ErrNotFound
		}
		if err == nil {
			err = update.ErrStale
		}
	}
	if err != nil {
		return 0, 0, err
	}
	run.Rev++
	run.Package = string(pkg)
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
	run.Request, err = decodeRequest(request)
	return n, next, err
}

// names reports whether one of the events is about the step. It is called for
// each step of a run, so it copies nothing.
func names(events []update.Event, step string) bool {
	for i := range events {
		if events[i].Step == step {
			return true
		}
	}
	return false
}

// putSteps writes those of the steps of a run that have changed.
func putSteps(tx Tx, n int64, steps []update.StepRecord, changed func(step string) bool) error {
	for i := range steps {
		if !changed(steps[i].Name) {
			continue
		}
		record, err := encode(stepOf(steps[i]))
		if err == nil {
			err = tx.Exec(stepPut, n, int64(i), record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
