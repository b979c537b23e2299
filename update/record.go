package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

var (
	errRepeated  = errors.New("update: the request came twice at once")
	errOvertaken = fmt.Errorf("%w: somebody else may act", lease.ErrLost)
)

// written is the record of a run, which several may write to.
func (u *Updater) written(id string) *record.Store[Run, Event] {
	return &record.Store[Run, Event]{
		Load: func(ctx context.Context) (Run, error) { return u.Get(ctx, id) },
		Save: func(ctx context.Context, run Run, events ...Event) (Run, error) {
			stored, err := u.config.Journal.Save(ctx, run, events...)
			run.Rev, run.UpdatedAt, run.EndedAt = stored.Rev, stored.UpdatedAt, stored.EndedAt
			return run, err
		},
		Rev: func(run Run) int64 { return run.Rev },
		Same: func(stored, sent Run) bool {
			sent.Rev++
			sent.UpdatedAt, sent.EndedAt = stored.UpdatedAt, stored.EndedAt
			return reflect.DeepEqual(stored, sent)
		},
		Stale: ErrStale, Final: []error{ErrExists, ErrNotFound, ErrInvalid},
	}
}

// create records the run and makes it one that this process works on.
func (r *runner) create() error {
	started := Event{Kind: EventStarted, Actor: r.run.Request.By.Actor, Message: cut(r.run.describe(), maxReason)}
	var stored Run
	err := r.u.written(r.run.ID).Try(r.held.Context(), func(ctx context.Context) (err error) {
		stored, err = r.u.config.Journal.Create(ctx, r.run, started)
		return err
	})
	switch {
	case errors.Is(err, ErrStale):
		err = chain(errOvertaken, err)
	case errors.Is(err, ErrExists) && stored.ID == r.run.ID:
		err = nil // the reply of an earlier try was lost
	case errors.Is(err, ErrExists):
		err = cmp.Or(stored.answers(r.run.Request, r.run.Undoes), errRepeated)
	}
	r.run = stored
	if err != nil {
		return err
	}
	r.u.register(r)
	r.u.log(slog.LevelInfo, "begun", stored)
	return nil
}

// save writes the run as change makes it, with events and all notes that have
// gathered. It tries again until ctx ends, or for some seconds. When somebody
// else asked meanwhile to cancel the run, forwardContext ends.
func (r *runner) save(ctx context.Context, change func(*Run), events ...Event) error {
	select {
	case r.saving <- struct{}{}:
		defer func() { <-r.saving }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.mu.Lock()
	known, gathered := r.run, r.notes.take()
	r.copied = append(r.copied[:0], known.Steps...)
	r.mu.Unlock()
	mine := known
	mine.Steps = r.copied
	change(&mine)
	all := append(gathered.events(), events...)
	stored, err := r.u.written(known.ID).Amend(ctx, &known, func(run *Run) ([]Event, error) {
		if lost := context.Cause(r.held.Context()); lost != nil {
			return nil, lost
		}
		if run.Token != mine.Token {
			return nil, fmt.Errorf("%w: the run has another owner", errOvertaken)
		}
		r.noticeCancel(*run)
		mine.Rev, mine.Cancel = run.Rev, run.Cancel
		*run = mine
		return all, nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, ErrStale) {
		err = fmt.Errorf("%w: the lock has another owner", errOvertaken)
	}
	if err != nil {
		r.notes.putBack(gathered)
		return err
	}
	change(&r.run)
	r.run.Rev, r.run.UpdatedAt, r.run.EndedAt = stored.Rev, stored.UpdatedAt, stored.EndedAt
	return nil
}

// noticeCancel stops the way forward when somebody asked for that.
func (r *runner) noticeCancel(stored Run) {
	r.mu.Lock()
	if stored.Rev > r.run.Rev {
		r.run.Rev, r.run.Cancel = stored.Rev, stored.Cancel
	}
	r.mu.Unlock()
	if stored.Cancel != nil && r.forwardContext.Err() == nil {
		r.cancelForward(ErrCancelled)
	}
}

// flush writes notes once a second until stop closes, and looks whether
// somebody asked to cancel the run.
func (r *runner) flush(stop <-chan struct{}) {
	ticker := time.NewTicker(min(time.Second, r.u.config.LockTTL/3))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		// An error here is met again by the next save of the run itself.
		ctx := r.held.Context()
		r.mu.Lock()
		r.notes.age()
		pending, id, rev := r.notes.any(), r.run.ID, r.run.Rev
		r.mu.Unlock()
		if pending {
			_ = r.save(ctx, func(*Run) {})
		} else if stored, err := r.u.config.Journal.Get(ctx, id); err == nil && stored.Rev > rev {
			if r.held.Confirm() == nil { // else the lock was broken
				r.noticeCancel(stored)
			}
		}
	}
}

// letGo records the outcomes so far, and that the run is left. A step that was
// ended in the middle has not been begun in vain: that attempt does not count.
func (r *runner) letGo() error {
	e := Event{Kind: EventStopped, Message: "the process " + r.held.Lease().Owner + " ends"}
	r.mu.Lock()
	begun := r.begun
	if begun >= 0 {
		e.Step, e.Phase = r.run.Steps[begun].Name, PhaseDoing
	}
	r.mu.Unlock()
	err := r.save(r.held.Context(), func(run *Run) {
		if begun >= 0 {
			run.Steps[begun].Attempt--
		}
	}, e)
	if err != nil { // the next process finds it as after a kill
		r.u.log(slog.LevelWarn, "left without a word", r.snapshot(), "err", err)
		return err
	}
	r.u.log(slog.LevelInfo, "left for the next process", r.snapshot())
	return nil
}

// record returns what the run remembers of step i.
func (r *runner) record(i int) StepRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.Steps[i]
}

// saveStep writes a change of step i.
func (r *runner) saveStep(ctx context.Context, i int, kind EventKind, change func(*StepRecord)) error {
	rec := r.record(i)
	change(&rec)
	return r.save(ctx, func(run *Run) { change(&run.Steps[i]) },
		Event{Kind: kind, Step: rec.Name, Phase: rec.Phase})
}

// note changes the phase of step i; the next save writes it.
func (r *runner) note(i int, phase Phase, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := &r.run.Steps[i]
	rec.Phase, rec.EndedAt = phase, stamp()
	r.begun = -1
	message := ""
	if err != nil {
		message = cut(err.Error(), maxReason)
		rec.Error = message // kept when the step is undone
	}
	switch {
	case phase == PhaseDone:
		r.run.Percent = r.percent(float64(r.base + r.weights[i]))
	case phase == PhaseUndone && r.run.Undoes != "":
		r.base += r.weights[i]
		r.run.Percent = r.percent(float64(r.base))
	}
	r.notes.outcomes = append(r.notes.outcomes, Event{Kind: EventStep, Step: rec.Name, Phase: phase, Message: message})
}

// percent is the share of the whole that the weight done makes; it never falls.
func (r *runner) percent(done float64) int {
	return max(r.run.Percent, min(int(100*done/float64(r.total)), 99))
}

// stamp is now as every engine can keep it.
func stamp() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
