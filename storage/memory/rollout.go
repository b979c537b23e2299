package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/eventlog"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
)

// rollouts is the rollout.RunStore of a DB.
type rollouts struct {
	db       *DB
	runs     runs[rollout.Run]
	live     map[rollout.ServiceID]string // id of the live run
	services map[rollout.ServiceID]rollout.Service
	fences   map[rollout.ServiceID]int64 // the greatest token that wrote
	log      eventlog.Log[rollout.Event]
}

// Rollouts returns the services and runs of package rollout.
func (db *DB) Rollouts() rollout.RunStore { return storeOf(db, "", newRollouts) }

func newRollouts(db *DB, keep storage.Retention) *rollouts {
	return &rollouts{
		db: db, runs: newRuns(db, rollout.ErrNotFound, rollout.Run.Clone),
		live:     make(map[rollout.ServiceID]string),
		services: make(map[rollout.ServiceID]rollout.Service), fences: make(map[rollout.ServiceID]int64),
		log: eventlog.Log[rollout.Event]{
			Events: keep.Events, Age: keep.Age, Compacted: rollout.ErrCompacted, Clone: rollout.Event.Clone,
		},
	}
}

// Create implements rollout.RunStore.
func (s *rollouts) Create(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if t.Run == nil || t.Run.ID == "" {
		return rollout.Transition{}, fmt.Errorf("%w: a run without an id", rollout.ErrInvalid)
	}
	if err := s.begin(ctx, t); err != nil {
		return rollout.Transition{}, err
	}
	defer s.db.mu.Unlock()
	r := *t.Run
	if i, ok := s.earlier(r); ok {
		run := s.runs.all[i].Clone()
		return rollout.Transition{Run: &run}, fmt.Errorf("%w: %q", rollout.ErrExists, run.ID)
	}
	if id, busy := s.live[r.Service]; busy {
		return rollout.Transition{}, fmt.Errorf("%w: run %q of %q", rollout.ErrBusy, id, r.Service)
	}
	if s.overtaken(t) {
		return rollout.Transition{}, rollout.ErrStale
	}
	s.runs.add(r.ID, requestOf(r))
	t, now := t.Clone(), stamp(time.Now())
	t.Run.Rev, t.Run.CreatedAt, t.Run.EndedAt, t.Run.Seq = 0, now, time.Time{}, 0
	if n := slices.IndexFunc(t.Events, func(e rollout.Event) bool { return e.Run == r.ID }); n >= 0 {
		t.Run.Seq = s.log.Last() + 1 + int64(n)
	}
	return s.write(t, now), nil
}

// begin takes the mutex for a write, unless it makes no sense.
func (s *rollouts) begin(ctx context.Context, t rollout.Transition) error {
	if t.Run != nil && t.Service != nil && t.Run.Service != t.Service.ID {
		return fmt.Errorf("%w: run %q is of %q, not of %q", rollout.ErrInvalid, t.Run.ID, t.Run.Service, t.Service.ID)
	}
	return s.db.lock(ctx)
}

// earlier finds the run that r would repeat.
func (s *rollouts) earlier(r rollout.Run) (int, bool) {
	if i, ok := s.runs.requests[requestOf(r)]; ok {
		return i, true
	}
	i, ok := s.runs.index[r.ID]
	return i, ok
}

// requestOf is the request of a run, which is unique in its service.
func requestOf(r rollout.Run) request {
	return request{lease.Item("rollout", r.Service.Env, r.Service.Name), r.Request.By.RequestID}
}

// overtaken reports whether somebody else has written the service meanwhile, or
// may only now write to it.
func (s *rollouts) overtaken(t rollout.Transition) bool {
	if v := t.Service; v != nil && (v.Rev != s.services[v.ID].Rev || v.Token < s.fences[v.ID]) {
		return true
	}
	return t.Run != nil && t.Run.Token < s.fences[t.Run.Service]
}

// Save implements rollout.RunStore.
func (s *rollouts) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if err := s.begin(ctx, t); err != nil {
		return rollout.Transition{}, err
	}
	defer s.db.mu.Unlock()
	t = t.Clone()
	if r := t.Run; r != nil {
		i, known := s.runs.index[r.ID]
		if !known {
			return rollout.Transition{}, fmt.Errorf("%w: run %q", rollout.ErrNotFound, r.ID)
		}
		old := s.runs.all[i].Clone()
		if r.Rev != old.Rev || r.Service != old.Service {
			return rollout.Transition{}, rollout.ErrStale
		}
		r.Seq, r.Request, r.CreatedAt, r.EndedAt = old.Seq, old.Request, old.CreatedAt, old.EndedAt
	}
	if s.overtaken(t) {
		return rollout.Transition{}, rollout.ErrStale
	}
	if r := t.Run; r != nil && !r.State.Done() {
		if id, busy := s.live[r.Service]; busy && id != r.ID {
			return rollout.Transition{}, fmt.Errorf("%w: run %q of %q", rollout.ErrBusy, id, r.Service)
		}
	}
	return s.write(t, stamp(time.Now())), nil
}

// write keeps t, which nobody else has. The mutex is held.
func (s *rollouts) write(t rollout.Transition, now time.Time) rollout.Transition {
	if r := t.Run; r != nil {
		r.Rev, r.UpdatedAt, r.EndedAt = r.Rev+1, now, ended(r.State.Done(), r.EndedAt, now)
		s.runs.all[s.runs.index[r.ID]] = *r
		s.fences[r.Service] = max(s.fences[r.Service], r.Token)
		switch {
		case !r.State.Done():
			s.live[r.Service] = r.ID
		case s.live[r.Service] == r.ID:
			delete(s.live, r.Service)
		}
	}
	if v := t.Service; v != nil {
		v.Rev, v.UpdatedAt = v.Rev+1, now
		s.services[v.ID] = *v
		s.fences[v.ID] = max(s.fences[v.ID], v.Token)
	}
	last := s.log.Last()
	for i := range t.Events {
		t.Events[i].Seq, t.Events[i].Time = last+int64(i)+1, now
	}
	s.log.Append(now, t.Events...)
	return t.Clone()
}

// Get implements rollout.RunStore.
func (s *rollouts) Get(ctx context.Context, id string) (rollout.Run, error) {
	return s.runs.get(ctx, id)
}

// History implements rollout.RunStore.
func (s *rollouts) History(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
	return s.runs.history(ctx, q.After, func(r rollout.Run) bool {
		return (q.Service == rollout.ServiceID{} || q.Service == r.Service) && (q.State == "" || q.State == r.State) &&
			(q.RequestID == "" || q.RequestID == r.Request.By.RequestID) && !(q.Live && r.State.Done())
	})
}

// Service implements rollout.RunStore.
func (s *rollouts) Service(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
	if err := s.db.lock(ctx); err != nil {
		return rollout.Service{}, err
	}
	defer s.db.mu.Unlock()
	v, known := s.services[id]
	if !known {
		return rollout.Service{}, fmt.Errorf("%w: service %q", rollout.ErrNotFound, id)
	}
	return v.Clone(), nil
}

// Services implements rollout.RunStore.
func (s *rollouts) Services(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
	return func(yield func(rollout.Service, error) bool) {
		ids, err := s.selected(ctx, q)
		if err != nil {
			yield(rollout.Service{}, err)
			return
		}
		for _, id := range ids {
			if v, err := s.Service(ctx, id); !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// selected returns the services of a query in their order. None is ever
// forgotten.
func (s *rollouts) selected(ctx context.Context, q rollout.ServiceQuery) (ids []rollout.ServiceID, err error) {
	if err := s.db.lock(ctx); err != nil {
		return nil, err
	}
	defer s.db.mu.Unlock()
	for id := range s.services {
		if (q.Env == "" || q.Env == id.Env) && (q.After == rollout.ServiceID{} || compare(id, q.After) > 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compare)
	return ids, nil
}

func compare(a, b rollout.ServiceID) int {
	return cmp.Or(strings.Compare(a.Env, b.Env), strings.Compare(a.Name, b.Name))
}

// Watch implements rollout.RunStore.
func (s *rollouts) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return s.log.Watch(ctx, after)
}

// forget implements store.
func (s *rollouts) forget() {
	s.runs.forget()
	s.live, s.services, s.fences = nil, nil, nil
	s.log.Close(storage.ErrClosed)
}
