package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
)

// Pause holds the run at its step, until Resume or Promote: also one that the
// Gate holds, whatever that says from then on. A revision that fails still goes
// back. It returns ErrStale once there is no step left.
func (c *Controller) Pause(ctx context.Context, id string, by By) error {
	return c.ask(ctx, id, Wish{Kind: WishPause, By: by}, func(run *Run) error {
		if run.State == StatePaused && progressOf(*run).Pause != pauseGate {
			return record.ErrSame // only a person ends that
		}
		return hasSteps(run)
	})
}

// Resume lets a run go on that is paused at step, a Run.Step, whatever paused
// it. It returns ErrStale if it is not paused there, so that nobody ends a pause
// that they have not seen.
func (c *Controller) Resume(ctx context.Context, id string, step int, by By) error {
	return c.ask(ctx, id, Wish{Kind: WishResume, By: by}, func(run *Run) error {
		if run.State != StatePaused || run.Step != step {
			return fmt.Errorf("%w: it is not paused at step %d, but %s at step %d", ErrStale, step, run.State, run.Step)
		}
		return nil
	})
}

// Promote skips the steps that are left. It returns ErrStale once there is none.
func (c *Controller) Promote(ctx context.Context, id string, by By) error {
	return c.ask(ctx, id, Wish{Kind: WishPromote, By: by}, hasSteps)
}

// hasSteps refuses a wish for a run whose steps are over.
func hasSteps(run *Run) error {
	switch run.State {
	case StatePromoting, StateDraining, StateFinalising, StateRollingBack:
		return fmt.Errorf("%w: it is %s", ErrStale, run.State)
	}
	return nil
}

// Cancel gives the stable revision its capacity back, then its traffic, and
// then removes the new one. It returns once that is recorded, and wins against
// every other wish, in every state before StateSucceeded; cancelling a run that
// is done is not an error.
func (c *Controller) Cancel(ctx context.Context, id string, by By) error {
	return c.ask(ctx, id, Wish{Kind: WishCancel, By: by}, func(run *Run) error {
		if run.State.Done() || run.State == StateRollingBack {
			return record.ErrSame
		}
		return nil
	})
}

// ask writes a wish into a run, whoever works on it, unless it is refused.
func (c *Controller) ask(ctx context.Context, id string, w Wish, refuse func(*Run) error) error {
	w.By = w.By.bounded()
	run, err := c.amend(ctx, id, func(run *Run) ([]Event, error) {
		if err := refuse(run); err != nil {
			return nil, err
		}
		w.Step = run.Step
		switch was := run.Wish; {
		case run.State.Done():
			return nil, fmt.Errorf("%w: it has ended", ErrStale)
		case was == nil:
		case was.Kind == w.Kind && was.Step == w.Step:
			return nil, record.ErrSame // somebody has asked for it
		case was.Kind == WishCancel:
			return nil, fmt.Errorf("%w: it is cancelled %s", ErrStale, was.By)
		}
		wish := w
		run.Wish = &wish
		return []Event{{Kind: EventWish, Actor: w.By.Actor, Message: cut(said(string(w.Kind), w.By.Reason), maxReason)}}, nil
	})
	if err != nil {
		return fmt.Errorf("%s run %q: %w", w.Kind, id, err)
	}
	c.mu.Lock()
	r := c.live[id]
	c.mu.Unlock()
	if r != nil {
		r.notice(run)
	}
	return nil
}

// amend writes to a run that somebody else may be writing to, without the lease:
// as often as the run has changed meanwhile it asks again for the change.
func (c *Controller) amend(ctx context.Context, id string, change func(*Run) ([]Event, error)) (Run, error) {
	store := c.config.RunStore
	return (&record.Store[Run, Event]{
		Load: func(ctx context.Context) (Run, error) { return store.Get(ctx, id) },
		Save: func(ctx context.Context, run Run, events ...Event) (Run, error) {
			stored, err := store.Save(ctx, Transition{Run: &run, Events: events})
			if err == nil && stored.Run != nil {
				run.Rev, run.UpdatedAt = stored.Run.Rev, stored.Run.UpdatedAt
			}
			return run, err
		},
		Rev:   func(run Run) int64 { return run.Rev },
		Same:  func(stored, sent Run) bool { return Transition{Run: &sent}.same(stored, Service{}) },
		Stale: ErrStale, Final: lasting,
	}).Amend(ctx, nil, func(run *Run) ([]Event, error) {
		events, err := change(run)
		return c.dress(events, run, Service{ID: run.Service, Split: run.Split}), err
	})
}

// notice learns what somebody wishes.
func (r *runner) notice(run Run) {
	r.mu.Lock()
	fresh := run.Rev >= r.rev
	if fresh {
		r.wish, r.rev = clone(run.Wish), run.Rev
	}
	r.mu.Unlock()
	if run.Wish == nil || !fresh {
		return
	}
	if cancelled(&run) && run.State != StateRollingBack {
		r.cancel(ErrCancelled)
	}
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// noticed learns what the record says that was last read or written.
func (r *runner) noticed() {
	r.mu.Lock()
	if r.k.run.Rev >= r.rev {
		r.wish, r.rev = clone(r.k.run.Wish), r.k.run.Rev
	}
	r.mu.Unlock()
	if cancelled(r.k.run) && r.now.Back == nil {
		r.cancel(ErrCancelled)
	}
}

// wished is what somebody wishes for the step that the run is in. A promotion
// is for all of them.
func (r *runner) wished() *Wish {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wish == nil || r.wish.Kind == WishResume && r.wish.Step != r.k.run.Step {
		return nil
	}
	return clone(r.wish)
}

// pauses reports whether somebody wishes a pause: by the record, unless a newer
// one was noticed.
func (r *runner) pauses(run *Run) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := run.Wish
	if run.Rev < r.rev {
		w = r.wish
	}
	return w != nil && w.Kind == WishPause
}

func (r *runner) promoted() bool {
	w := r.wished()
	return w != nil && w.Kind == WishPromote
}

// watch looks once a second for what other processes wish.
func (r *runner) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		if run, err := r.c.Get(r.k.held.Context(), r.id); err == nil && run.Wish != nil {
			r.notice(run)
		}
	}
}
