package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

var (
	errStore     = errors.New("rollout: the record was not written")
	errClosing   = fmt.Errorf("%w: the run is left for the next Run", ErrClosed)
	errOvertaken = fmt.Errorf("%w: somebody else may act", lease.ErrLost)
)

// keeper writes the record of a service, and of its live run if there is one,
// under the service's lease.
type keeper struct {
	c    *Controller
	held *lease.Held
	svc  Service // as last read or written
	run  *Run    // nil between runs

	steady  map[string]since     // by replica
	leaving map[string]time.Time // by replica that is taken away: when it is stopped at the latest
	ends    map[string]*ending   // by replica: the Stop that is under way
	ended   context.Context      // of those Stops
	end     context.CancelFunc
	moves   int       // how often the weights in force have changed
	moved   time.Time // when they last did
}

// since is when a replica became ready, and how often it had begun anew then.
type since struct {
	at       time.Time
	restarts int
}

// keeper returns one. Who holds the lease closes it first, and then releases.
func (c *Controller) keeper(held *lease.Held, svc Service, run *Run) *keeper {
	k := &keeper{
		c: c, held: held, svc: svc, run: run,
		steady: map[string]since{}, leaving: map[string]time.Time{}, ends: map[string]*ending{},
	}
	if held != nil {
		k.ended, k.end = context.WithCancel(held.Context())
	}
	return k
}

// records are what is written at once.
type records struct {
	run *Run
	svc Service
	was Service // as it was read
}

// transition is what of the records is to be written.
func (r records) transition() Transition {
	t := Transition{Run: r.run}
	if r.run == nil || !sameJSON(r.svc, r.was) {
		t.Service = &r.svc
	}
	return t
}

// store is where the records are kept. What is read is what the keeper knows.
func (k *keeper) store() *record.Store[records, Event] {
	return &record.Store[records, Event]{
		Load: k.load,
		Save: func(ctx context.Context, r records, events ...Event) (records, error) {
			t := r.transition()
			t.Events = events
			stored, err := k.c.config.RunStore.Save(ctx, t)
			if err != nil {
				return r, err
			}
			if r.run != nil {
				run := *r.run
				run.Rev, run.UpdatedAt, run.EndedAt = stored.Run.Rev, stored.Run.UpdatedAt, stored.Run.EndedAt
				r.run = &run
			}
			if t.Service != nil {
				r.svc.Rev, r.svc.UpdatedAt = stored.Service.Rev, stored.Service.UpdatedAt
			}
			return r, nil
		},
		Rev: func(r records) int64 {
			if r.run == nil {
				return r.svc.Rev
			}
			return r.svc.Rev + r.run.Rev
		},
		Same: func(stored, sent records) bool {
			return sent.transition().same(valueOf(stored.run), stored.svc)
		},
		Stale: ErrStale, Final: lasting,
	}
}

// lasting are the errors that another try would meet again.
var lasting = []error{ErrExists, ErrBusy, ErrInvalid, ErrNotFound, ErrCorrupt}

func (k *keeper) load(ctx context.Context) (r records, err error) {
	if k.run != nil {
		run, err := k.c.config.RunStore.Get(ctx, k.run.ID)
		if err != nil {
			return r, err
		}
		r.run, k.run = &run, &run
	}
	r.svc, err = k.c.config.RunStore.Service(ctx, k.svc.ID)
	if err == nil {
		k.svc, r.was = r.svc, r.svc
	}
	return r, err
}

// save writes what change makes of the run, which is nil between runs, and of
// the service, with the events that it returns. It asks change again, with the
// records as they are then, as often as somebody else has written meanwhile: a
// wish, or that OnFinish was told. An error of change is returned as it is. Any
// other is errOvertaken or errStore: then nobody knows what is written.
func (k *keeper) save(change func(*Run, *Service) ([]Event, error)) error {
	ctx, held := k.held.Context(), k.held.Lease()
	var refusal error
	try := func() (records, error) {
		return k.store().Amend(ctx, &records{k.run, k.svc, k.svc}, func(r *records) ([]Event, error) {
			if r.svc.Token > held.Token || valueOf(r.run).Token > held.Token {
				refusal = errOvertaken
				return nil, refusal
			}
			if r.svc = r.svc.Clone(); r.run != nil {
				run := r.run.Clone()
				r.run = &run
			}
			var events []Event
			if events, refusal = change(r.run, &r.svc); refusal != nil {
				return nil, refusal
			}
			if r.svc.Token = held.Token; r.run != nil {
				r.run.Token, r.run.Owner = held.Token, held.Owner
			}
			return k.c.dress(events, r.run, r.svc), nil
		})
	}
	rec, err := try()
	for n := 0; errors.Is(err, ErrStale) && refusal == nil && n < 3 && k.held.Confirm() == nil; n++ {
		rec, err = try() // nobody else may write
	}
	switch {
	case refusal != nil:
		if errors.Is(refusal, record.ErrSame) {
			return nil
		}
		return refusal
	case err == nil:
		k.run, k.svc = rec.run, rec.svc
		return nil
	case ctx.Err() != nil, errors.Is(err, ErrStale):
		return fmt.Errorf("%w: %w", errOvertaken, err)
	}
	return fmt.Errorf("%w: %w", errStore, err)
}

// dress completes events from the records that they are about.
func (c *Controller) dress(events []Event, run *Run, svc Service) []Event {
	for i := range events {
		e := &events[i]
		e.Service, e.Split, e.Message = svc.ID, svc.Split, cut(e.Message, maxReason)
		if run != nil {
			e.Run, e.State, e.Step, e.Percent = run.ID, run.State, run.Step, run.Percent
		}
	}
	return events
}

// same reports whether the records are those that t has written.
func (t Transition) same(run Run, svc Service) bool {
	if t.Run != nil {
		a, b := *t.Run, run
		if b.Rev != a.Rev+1 {
			return false
		}
		for _, r := range []*Run{&a, &b} {
			r.Seq, r.Rev, r.CreatedAt, r.UpdatedAt, r.EndedAt = 0, 0, time.Time{}, time.Time{}, time.Time{}
		}
		if !sameJSON(a, b) {
			return false
		}
	}
	if t.Service != nil {
		a, b := *t.Service, svc
		if b.Rev != a.Rev+1 {
			return false
		}
		for _, s := range []*Service{&a, &b} {
			s.Rev, s.UpdatedAt = 0, time.Time{}
		}
		if !sameJSON(a, b) {
			return false
		}
	}
	return true
}

// sameJSON compares what an engine keeps: nil and empty may be one there.
func sameJSON(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
