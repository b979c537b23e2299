package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/eventlog"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// Journal returns the runs of package update.
func (db *DB) Journal() update.Journal { return storeOf(db, "", newJournal) }

func newJournal(db *DB, keep storage.Retention) *journal {
	return &journal{
		db: db, runs: newRuns(db, update.ErrNotFound, update.Run.Clone), fences: make(map[string]int64),
		log: eventlog.Log[update.Event]{Events: keep.Events, Age: keep.Age, Compacted: update.ErrCompacted},
	}
}

// journal is the update.Journal of a DB.
type journal struct {
	db     *DB
	runs   runs[update.Run]
	fences map[string]int64 // by item: the greatest token that wrote
	log    eventlog.Log[update.Event]
}

// Create implements update.Journal.
func (j *journal) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if r.ID == "" {
		return update.Run{}, fmt.Errorf("%w: a run without an id", update.ErrInvalid)
	}
	if err := j.db.lock(ctx); err != nil {
		return update.Run{}, err
	}
	defer j.db.mu.Unlock()
	if i, ok := j.earlier(r); ok {
		return j.runs.all[i].Clone(), update.ErrExists
	}
	if r.Token < j.fences[r.Item] {
		return update.Run{}, update.ErrStale
	}
	r, now := r.Clone(), stamp(time.Now())
	r.Rev, r.CreatedAt, r.UpdatedAt, r.EndedAt = 1, now, now, time.Time{}
	if r.Seq = 0; len(events) > 0 {
		r.Seq = j.log.Last() + 1
	}
	i := j.runs.add(r.ID, request{r.Package, r.Request.By.RequestID})
	return j.write(i, r, events), nil
}

// earlier finds the run that r would repeat.
func (j *journal) earlier(r update.Run) (int, bool) {
	if i, ok := j.runs.requests[request{r.Package, r.Request.By.RequestID}]; ok {
		return i, true
	}
	i, ok := j.runs.index[r.ID]
	return i, ok
}

// Save implements update.Journal.
func (j *journal) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if err := j.db.lock(ctx); err != nil {
		return update.Run{}, err
	}
	defer j.db.mu.Unlock()
	i, ok := j.runs.index[r.ID]
	if !ok {
		return update.Run{}, update.ErrNotFound
	}
	old := j.runs.all[i]
	if r.Rev != old.Rev || r.Token < j.fences[r.Item] {
		return update.Run{}, update.ErrStale
	}
	r = r.Clone()
	r.Package, r.Request, r.Seq = old.Package, old.Request, old.Seq
	r.CreatedAt, r.EndedAt = old.CreatedAt, old.EndedAt
	r.Steps = mergeSteps(old.Steps, r.Steps, events)
	r.Rev, r.UpdatedAt = old.Rev+1, stamp(time.Now())
	item := lease.Item("update", r.Item)
	if held := j.db.locker.leases[item]; r.State.Done() && held.Token == r.Token && held.Owner == r.Owner {
		delete(j.db.locker.leases, item)
	}
	return j.write(i, r, events), nil
}

// mergeSteps returns old with those steps of changed that an event names.
func mergeSteps(old, changed []update.StepRecord, events []update.Event) []update.StepRecord {
	merged := slices.Clone(old)
	for _, step := range changed {
		if !slices.ContainsFunc(events, func(e update.Event) bool { return e.Step == step.Name }) {
			continue
		}
		i := slices.IndexFunc(merged, func(s update.StepRecord) bool { return s.Name == step.Name })
		if i < 0 {
			merged = append(merged, step)
		} else {
			merged[i] = step
		}
	}
	return merged
}

// write keeps r, which nobody else has, with its events. The mutex is held.
func (j *journal) write(i int, r update.Run, events []update.Event) update.Run {
	r.EndedAt = ended(r.State.Done(), r.EndedAt, r.UpdatedAt)
	j.runs.all[i] = r
	j.fences[r.Item] = r.Token
	last := j.log.Last()
	events = slices.Clone(events)
	for i := range events {
		e := &events[i]
		e.Seq, e.Time, e.Run, e.Package = last+int64(i)+1, r.UpdatedAt, r.ID, r.Package
		e.State, e.Percent = r.State, r.Percent
	}
	j.log.Append(r.UpdatedAt, events...)
	return r.Clone()
}

// Get implements update.Journal.
func (j *journal) Get(ctx context.Context, id string) (update.Run, error) { return j.runs.get(ctx, id) }

// History implements update.Journal.
func (j *journal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return j.runs.history(ctx, q.After, func(r update.Run) bool {
		return (q.Package == "" || q.Package == r.Package) &&
			(q.RequestID == "" || q.RequestID == r.Request.By.RequestID) && !(q.Live && r.State.Done())
	})
}

// Watch implements update.Journal.
func (j *journal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return j.log.Watch(ctx, after)
}

// forget implements store.
func (j *journal) forget() {
	j.runs.forget()
	j.fences = nil
	j.log.Close(storage.ErrClosed)
}
