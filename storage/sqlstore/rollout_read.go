package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// rolloutRuns is the table of all runs.
var rolloutRuns = runs[rollout.Run]{runTable: &runTable[rollout.Run]{
	name:     "upkeep_rollout_run",
	columns:  "n, id, env, name, state, token, rev, seq, created_ms, updated_ms, ended_ms, request, detail",
	notFound: rollout.ErrNotFound,
	scan:     scanRollout,
}}

// Get keeps the promise of rollout.RunStore.
func (s *Rollouts) Get(ctx context.Context, id string) (rollout.Run, error) {
	return rolloutRuns.get(ctx, s.db, id)
}

// History keeps the promise of rollout.RunStore.
func (s *Rollouts) History(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
	return rolloutRuns.history(ctx, s.db, q.After, func(of *query) {
		if q.Service != (rollout.ServiceID{}) {
			of.and("env", []byte(q.Service.Env))
			of.and("name", []byte(q.Service.Name))
		}
		if q.RequestID != "" {
			of.and("request_id", []byte(q.RequestID))
		}
		if q.Live {
			of.text += " AND live = 1"
		}
		if q.State != "" {
			of.text += " AND live = " + strconv.FormatInt(flag(!q.State.Done()), 10) // by which index
			of.and("state", []byte(q.State))
		}
	})
}

func scanRollout(scan func(...any) error) (r scannedRun[rollout.Run], err error) {
	var created, updated, ended int64
	var id, env, name, state []byte
	var request, detail string
	run := &r.run
	err = scan(&r.n, &id, &env, &name, &state, &run.Token, &run.Rev, &run.Seq, &created, &updated, &ended, &request, &detail)
	if err != nil {
		return r, err
	}
	r.id, r.bytes, r.fault = string(id), len(request)+len(detail), decodeRolloutRun(detail, run)
	run.ID, run.Service, run.State = r.id, rollout.ServiceID{Env: string(env), Name: string(name)}, rollout.State(state)
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
	var fault error
	if run.Request, fault = decodeRolloutRequest(request); r.fault == nil {
		r.fault = fault
	}
	return r, nil
}

const rolloutServices = `SELECT env, name, rev, token, updated_ms, detail FROM upkeep_rollout_service WHERE rev > 0`

// scannedService is a service as it is read.
type scannedService struct {
	service rollout.Service
	fault   error // why it is not whole
}

// services reads a page of what a query selects.
func services(tx Tx, q query) (p page[scannedService, *rollout.ServiceID], err error) {
	err = p.read(tx, q, func(scan func(...any) error) error {
		var env, name []byte
		var updated int64
		var detail string
		var v rollout.Service
		if err := scan(&env, &name, &v.Rev, &v.Token, &updated, &detail); err != nil {
			return err
		}
		id := rollout.ServiceID{Env: string(env), Name: string(name)}
		if err := p.take(&id, len(detail)); err != nil {
			return err
		}
		fault := decodeRolloutService(detail, &v)
		if fault != nil {
			fault = fmt.Errorf("%w: service %q", fault, id)
		}
		v.ID, v.UpdatedAt = id, utc(updated)
		p.entries = append(p.entries, scannedService{v, fault})
		return nil
	})
	return p, err
}

// Service keeps the promise of rollout.RunStore.
func (s *Rollouts) Service(ctx context.Context, id rollout.ServiceID) (v rollout.Service, err error) {
	err = s.db.Read(ctx, func(tx Tx) error {
		p, err := services(tx, query{rolloutServices + " AND env = ?1 AND name = ?2", []any{[]byte(id.Env), []byte(id.Name)}})
		switch {
		case err != nil:
			return err
		case len(p.entries) == 0:
			return rollout.ErrNotFound
		}
		v = p.entries[0].service
		return p.entries[0].fault
	})
	if err != nil {
		return rollout.Service{}, fmt.Errorf("reading service %q: %w", id, err)
	}
	return v, nil
}

// Services keeps the promise of rollout.RunStore.
func (s *Rollouts) Services(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
	var first *rollout.ServiceID // nil: of all
	if q.After != (rollout.ServiceID{}) {
		first = &q.After
	}
	all := list(paging(runPage), first, func(after *rollout.ServiceID, size int) (p page[scannedService, *rollout.ServiceID], err error) {
		of := query{text: rolloutServices}
		if q.Env != "" {
			of.and("env", []byte(q.Env))
		}
		if after != nil {
			of.text += " AND (env, name) > (" + of.arg([]byte(after.Env)) + ", " + of.arg([]byte(after.Name)) + ")"
		}
		of.text += " ORDER BY env, name LIMIT " + strconv.Itoa(size)
		err = s.db.Read(ctx, func(tx Tx) (err error) {
			p, err = services(tx, of)
			return err
		})
		if err != nil {
			err = fmt.Errorf("reading the services: %w", err)
		}
		return p, err
	})
	return whole(all, func(r scannedService) (rollout.Service, error) { return r.service, r.fault })
}

// rolloutEvents is the log of Rollouts.
var rolloutEvents = &eventTable[rollout.Event]{
	insert:    `INSERT INTO upkeep_rollout_event (seq, time_ms, run, record) VALUES (?1, ?2, ?3, ?4)`,
	after:     `SELECT seq, time_ms, run, record FROM upkeep_rollout_event WHERE seq >= ?1 ORDER BY seq LIMIT {size}`,
	compacted: rollout.ErrCompacted,
	scan: scanEvents(decodeRolloutEvent, rollout.Event{Kind: rollout.EventCorrupt}, func(e *rollout.Event, seq int64, at time.Time, run string) {
		e.Seq, e.Time, e.Run = seq, at, run
	}),
}

// append writes the events of a write, and completes them.
func (s *Rollouts) append(tx Tx, m moment, events []rollout.Event) error {
	for i := range events {
		e := &events[i]
		e.Seq, e.Time = m.seq+int64(i), utc(m.now)
		record, err := encode(rolloutEventOf(*e))
		if err != nil {
			return err
		}
		if err := s.events.append(tx, e.Seq, m.now, []byte(e.Run), record); err != nil {
			return err
		}
	}
	return nil
}

// Watch keeps the promise of rollout.RunStore.
func (s *Rollouts) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return s.events.watch(ctx, after)
}
