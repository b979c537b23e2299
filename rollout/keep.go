package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lease"
)

var (
	errSame      = errors.New("rollout: there is nothing to write")
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
	moves   int                  // how often the weights in force have changed
	moved   time.Time            // when they last did
}

// since is when a replica became ready, and how often it had begun anew then.
type since struct {
	at       time.Time
	restarts int
}

func (c *Controller) keeper(held *lease.Held, svc Service, run *Run) *keeper {
	return &keeper{c: c, held: held, svc: svc, run: run, steady: map[string]since{}, leaving: map[string]time.Time{}}
}

// save writes what change makes of the run, which is nil between runs, and of
// the service, with the events that it returns. It asks change again, with the
// records as they are then, as often as somebody else has written meanwhile: a
// wish, or that OnFinish was told. A reply that was lost is found out. Other
// errors of the engine are met by further tries for some seconds; then the
// error is errStore, and nobody knows what is written.
func (k *keeper) save(change func(*Run, *Service) ([]Event, error)) error {
	ctx := k.held.Context()
	w := write{k: k, change: change}
	for wait := 10 * time.Millisecond; ; wait *= 3 {
		err := w.try(ctx)
		for errors.Is(err, ErrStale) && w.again {
			err = w.try(ctx)
		}
		switch {
		case err == nil, w.refused, errors.Is(err, errOvertaken):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", errOvertaken, context.Cause(ctx))
		case errors.Is(err, ErrExists), errors.Is(err, ErrBusy), errors.Is(err, ErrInvalid), errors.Is(err, ErrNotFound), wait > 3*time.Second:
			return fmt.Errorf("%w: %w", errStore, err)
		}
		w.again = true
		_ = pause.For(ctx, wait)
	}
}

// write is one change on its way into the record.
type write struct {
	k       *keeper
	change  func(*Run, *Service) ([]Event, error)
	sent    *Transition // what the last try has sent, if nobody knows what became of it
	again   bool        // the records are to be read first
	refused bool        // the last error was that of change
}

func (w *write) try(ctx context.Context) error {
	k := w.k
	w.refused = false
	if err := context.Cause(ctx); err != nil {
		return errOvertaken
	}
	if w.again {
		if done, err := w.reread(ctx); done || err != nil {
			return err
		}
	}
	t, err := w.make()
	if err != nil {
		w.refused = true
		if errors.Is(err, errSame) {
			return nil
		}
		return err
	}
	w.sent, w.again = &t, true
	stored, err := k.c.config.RunStore.Save(ctx, t)
	if err != nil {
		return err
	}
	w.sent = nil
	k.took(t, stored)
	return nil
}

// make asks change for what is to be written.
func (w *write) make() (Transition, error) {
	k, token := w.k, w.k.held.Lease().Token
	svc, t := k.svc.Clone(), Transition{}
	var run *Run
	if k.run != nil {
		r := k.run.Clone()
		run = &r
	}
	events, err := w.change(run, &svc)
	if err != nil {
		return t, err
	}
	if run != nil {
		run.Token, run.Owner = token, k.held.Lease().Owner
		t.Run = run
	}
	if svc.Token = max(svc.Token, token); run == nil || !sameJSON(svc, k.svc) {
		t.Service = &svc
	}
	t.Events = k.c.dress(events, run, svc)
	return t, nil
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

// took keeps what was written as what is.
func (k *keeper) took(t, stored Transition) {
	if t.Run != nil {
		run := *t.Run
		if s := stored.Run; s != nil {
			run.Seq, run.Rev, run.CreatedAt, run.UpdatedAt, run.EndedAt = s.Seq, s.Rev, s.CreatedAt, s.UpdatedAt, s.EndedAt
		}
		k.run = &run
	}
	if t.Service != nil {
		k.svc = *t.Service
		if s := stored.Service; s != nil {
			k.svc.Rev, k.svc.UpdatedAt = s.Rev, s.UpdatedAt
		}
	}
}

// reread reads the records once more, and reports whether the write before was
// made after all.
func (w *write) reread(ctx context.Context) (done bool, err error) {
	k, store := w.k, w.k.c.config.RunStore
	token := k.held.Lease().Token
	var run Run
	if k.run != nil {
		if run, err = store.Get(ctx, k.run.ID); err != nil {
			return false, err
		}
	}
	svc, err := store.Service(ctx, k.svc.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	svc.ID = k.svc.ID
	if svc.Token > token || run.Token > token {
		return false, errOvertaken
	}
	sent := w.sent
	w.sent, w.again = nil, false
	if sent != nil && sent.same(run, svc) {
		k.took(*sent, Transition{Run: &run, Service: &svc})
		return true, nil
	}
	if k.run != nil {
		k.run = &run
	}
	k.svc = svc
	return false, nil
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
