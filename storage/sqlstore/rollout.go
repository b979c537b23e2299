package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
)

// Rollouts is the rollout.RunStore of a DB.
type Rollouts struct {
	db     DB
	d      Dialect
	events eventLog[rollout.Event]
	next   string
}

var _ rollout.RunStore = (*Rollouts)(nil)

// Rollouts returns the services and runs of package rollout.
func (a *Accessors) Rollouts() rollout.RunStore { return storeOf(a, "rollout", "", NewRollouts) }

// NewRollouts returns the RunStore of db. An engine makes one and keeps it.
func NewRollouts(db DB, keep storage.Retention) *Rollouts {
	d := db.Dialect()
	return &Rollouts{
		db: db, d: d, events: newEventLog(db, keep, "rollout", rolloutEvents), next: d.clocked(0, rolloutNext),
	}
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (s *Rollouts) On(db DB) *Rollouts {
	on := *s
	on.db, on.events = db, s.events.on(db)
	return &on
}

// Whoever writes has the lock of the events: what a write reads stays so until
// it is done.
const (
	// rolloutNext is the time, and the number of the next event.
	rolloutNext = `SELECT {now}, (SELECT coalesce(max(e.seq), 0) + 1 FROM upkeep_rollout_event AS e)`

	rolloutRunOfRequest = `SELECT id FROM upkeep_rollout_run WHERE env = ?1 AND name = ?2 AND request_id = ?3`

	rolloutRunLive = `SELECT id FROM upkeep_rollout_run WHERE env = ?1 AND name = ?2 AND live = 1`

	rolloutRunInsert = `
INSERT INTO upkeep_rollout_run
	(n, id, env, name, request_id, state, live, token, rev, seq, created_ms, updated_ms, ended_ms, request, detail)
VALUES ((SELECT coalesce(max(n), 0) + 1 FROM upkeep_rollout_run), ?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?9, ?10, ?11, ?12)`

	rolloutRunRead = `
SELECT env, name, rev, seq, created_ms, ended_ms, request, detail FROM upkeep_rollout_run WHERE id = ?1`

	rolloutRunSave = `
UPDATE upkeep_rollout_run SET state = ?2, live = ?3, token = ?4, rev = ?5, updated_ms = ?6, ended_ms = ?7, detail = ?8
WHERE id = ?1`

	rolloutServiceRev = `SELECT rev, fence, detail FROM upkeep_rollout_service WHERE env = ?1 AND name = ?2`

	rolloutServicePut = `
INSERT INTO upkeep_rollout_service (env, name, rev, token, fence, updated_ms, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (env, name) DO UPDATE SET
	rev = excluded.rev, token = excluded.token, fence = excluded.fence, updated_ms = excluded.updated_ms, detail = excluded.detail`

	rolloutFencePut = `
INSERT INTO upkeep_rollout_service (env, name, rev, token, fence, updated_ms, detail) VALUES (?1, ?2, 0, 0, ?3, 0, '')
ON CONFLICT (env, name) DO UPDATE SET fence = excluded.fence`
)

// Create keeps the promise of rollout.RunStore.
func (s *Rollouts) Create(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if t.Run == nil || t.Run.ID == "" {
		return rollout.Transition{}, fmt.Errorf("%w: a run without an id", rollout.ErrInvalid)
	}
	var saved rollout.Transition
	err := s.write(ctx, t, &saved, s.create)
	if errors.Is(err, rollout.ErrExists) {
		return saved, fmt.Errorf("%w: %q", rollout.ErrExists, saved.Run.ID)
	}
	if err != nil {
		return rollout.Transition{}, fmt.Errorf("creating run %q: %w", t.Run.ID, err)
	}
	return saved.Clone(), nil
}

// Save keeps the promise of rollout.RunStore. Its result shares memory with t.
func (s *Rollouts) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	var saved rollout.Transition
	if err := s.write(ctx, t, &saved, s.save); err != nil {
		switch {
		case t.Run != nil:
			err = fmt.Errorf("saving run %q: %w", t.Run.ID, err)
		case t.Service != nil:
			err = fmt.Errorf("saving service %q: %w", t.Service.ID, err)
		}
		return rollout.Transition{}, err
	}
	return saved, nil
}

// moment is when a write happens: what every part of it needs.
type moment struct{ now, seq int64 }

// write does so with a transition, the run of which put writes. The result is in
// saved, which is set from scratch at each try.
func (s *Rollouts) write(
	ctx context.Context, t rollout.Transition, saved *rollout.Transition, put func(Tx, *rollout.Transition, moment) error,
) error {
	if t.Run != nil && t.Service != nil && t.Run.Service != t.Service.ID {
		return fmt.Errorf("%w: the run is of %q, not of %q", rollout.ErrInvalid, t.Run.Service, t.Service.ID)
	}
	return s.db.Write(ctx, func(tx Tx) error {
		if err := s.events.lock(tx); err != nil {
			return err
		}
		*saved = rollout.Transition{Run: optional(t.Run, same), Service: optional(t.Service, same), Events: slices.Clone(t.Events)}
		var m moment
		if err := tx.Row(s.next, s.d.withNow(), &m.now, &m.seq); err != nil {
			return err
		}
		if err := put(tx, saved, m); err != nil {
			return err
		}
		return s.append(tx, m, saved.Events)
	})
}

// create writes a new run and its service.
func (s *Rollouts) create(tx Tx, t *rollout.Transition, m moment) error {
	run := t.Run
	earlier, err := earlierRollout(tx, *run)
	if err != nil {
		return err
	}
	if earlier != nil {
		*t = rollout.Transition{Run: earlier}
		return rollout.ErrExists
	}
	if err := alone(tx, *run); err != nil {
		return err
	}
	if err := putService(tx, t, m); err != nil {
		return err
	}
	run.Rev, run.Seq = 1, 0
	if i := slices.IndexFunc(t.Events, func(e rollout.Event) bool { return e.Run == run.ID }); i >= 0 {
		run.Seq = m.seq + int64(i)
	}
	var ended int64
	if run.State.Done() {
		ended = m.now
	}
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(m.now), utc(m.now), utc(ended)
	var requestID any // NULL for none: the index of requests is unique
	if id := run.Request.By.RequestID; id != "" {
		requestID = []byte(id)
	}
	request, err := encode(rolloutRequestOf(run.Request))
	if err != nil {
		return err
	}
	detail, err := encode(rolloutRunOf(*run))
	if err != nil {
		return err
	}
	return tx.Exec(rolloutRunInsert, []byte(run.ID), []byte(run.Service.Env), []byte(run.Service.Name), requestID,
		[]byte(run.State), flag(!run.State.Done()), run.Token, run.Seq, m.now, ended, request, detail)
}

// earlierRollout returns the run that has the request or the id of r, or nil.
func earlierRollout(tx Tx, r rollout.Run) (*rollout.Run, error) {
	id := []byte(r.ID)
	if request := r.Request.By.RequestID; request != "" {
		err := tx.Row(rolloutRunOfRequest, []any{[]byte(r.Service.Env), []byte(r.Service.Name), []byte(request)}, &id)
		if _, err = found(err); err != nil {
			return nil, err
		}
	}
	run, err := rolloutRuns.one(tx, rolloutRuns.where("id = ?1", id))
	if errors.Is(err, rollout.ErrNotFound) {
		return nil, nil
	}
	return &run, err
}

// alone is ErrBusy if another run of the service is live.
func alone(tx Tx, r rollout.Run) error {
	var id []byte
	there, err := found(tx.Row(rolloutRunLive, []any{[]byte(r.Service.Env), []byte(r.Service.Name)}, &id))
	if err != nil || !there || string(id) == r.ID {
		return err
	}
	return fmt.Errorf("%w: run %q of %q", rollout.ErrBusy, id, r.Service)
}

// save writes a run that is there, or a service, or both.
func (s *Rollouts) save(tx Tx, t *rollout.Transition, m moment) error {
	if t.Run == nil {
		return putService(tx, t, m)
	}
	run := t.Run
	var env, name []byte
	var rev, created, ended int64
	var request, before string
	err := tx.Row(rolloutRunRead, []any{[]byte(run.ID)}, &env, &name, &rev, &run.Seq, &created, &ended, &request, &before)
	there, err := found(err)
	switch {
	case err != nil:
		return err
	case !there:
		return rollout.ErrNotFound
	case rev != run.Rev || run.Service != rollout.ServiceID{Env: string(env), Name: string(name)}:
		return rollout.ErrStale
	}
	if err := putService(tx, t, m); err != nil {
		return err
	}
	if !run.State.Done() {
		if err := alone(tx, *run); err != nil {
			return err
		}
	}
	switch {
	case !run.State.Done():
		ended = 0
	case ended == 0:
		ended = m.now
	}
	run.Rev++
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(m.now), utc(ended)
	if run.Request, err = decodeRolloutRequest(request); err != nil {
		return err
	}
	detail, err := encodeOver(before, rolloutRunOf(*run))
	if err != nil {
		return err
	}
	return tx.Exec(rolloutRunSave, []byte(run.ID), []byte(run.State), flag(!run.State.Done()), run.Token, run.Rev, m.now, ended, detail)
}

// putService writes the service of a transition, or raises its fence, unless it
// is overtaken.
func putService(tx Tx, t *rollout.Transition, m moment) error {
	var id rollout.ServiceID
	var token, greatest int64 // of what is written
	switch {
	case t.Service != nil && t.Run != nil:
		id, token, greatest = t.Service.ID, min(t.Service.Token, t.Run.Token), max(t.Service.Token, t.Run.Token)
	case t.Service != nil:
		id, token, greatest = t.Service.ID, t.Service.Token, t.Service.Token
	case t.Run != nil:
		id, token, greatest = t.Run.Service, t.Run.Token, t.Run.Token
	default:
		return nil
	}
	env, name := []byte(id.Env), []byte(id.Name)
	var rev, fence int64
	var before string
	there, err := found(tx.Row(rolloutServiceRev, []any{env, name}, &rev, &fence, &before))
	switch {
	case err != nil:
		return err
	case there && token < fence, t.Service != nil && t.Service.Rev != rev:
		return rollout.ErrStale
	}
	if there {
		greatest = max(greatest, fence)
	}
	if t.Service == nil {
		if there && greatest == fence {
			return nil
		}
		return tx.Exec(rolloutFencePut, env, name, greatest)
	}
	t.Service.Rev, t.Service.UpdatedAt = rev+1, utc(m.now)
	detail, err := encodeOver(before, rolloutServiceOf(*t.Service))
	if err != nil {
		return err
	}
	return tx.Exec(rolloutServicePut, env, name, t.Service.Rev, t.Service.Token, greatest, m.now, detail)
}
