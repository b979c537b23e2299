package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
)

const (
	// maxAttempts is how often a step may begin before it counts as what
	// kills the process.
	maxAttempts = 3
)

// work brings the run to its end. An error means that the run is not done:
// the lease is lost, the Updater closes, or the journal cannot be written.
func (r *runner) work() error {
	stop, flushed := make(chan struct{}), make(chan struct{})
	go func() { defer close(flushed); r.flush(stop) }()
	defer func() { close(stop); <-flushed }()

	err := r.toTheEnd()
	if errors.Is(err, errClosing) {
		err = errors.Join(err, r.letGo())
	}
	if err != nil && r.ended() {
		err = nil // the reply was lost, not the record
	}
	if err != nil && r.held.Context().Err() != nil {
		return chain(errOvertaken, err)
	}
	return err
}

// saveTimeout bounds a look at the journal after the work has ended.
const saveTimeout = 10 * time.Second

// ended asks the journal whether an end that could not be written was written
// after all. The lease ends with it.
func (r *runner) ended() bool {
	r.mu.Lock()
	id, token, tried := r.run.ID, r.run.Token, r.ends
	r.mu.Unlock()
	if !tried {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.held.Context()), saveTimeout)
	defer cancel()
	stored, err := r.u.Get(ctx, id)
	if err != nil || !stored.State.Done() || stored.Token != token {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = stored
	return true
}

func (r *runner) toTheEnd() error {
	if r.snapshot().State == StateRunning {
		err := r.forward()
		if err == nil {
			err = r.end(r.ahead(), StateSucceeded, "") // unless somebody has cancelled meanwhile
		}
		switch {
		case err == nil, r.leaves(err):
			return err
		case errors.Is(err, errAbandoned), r.noWayBack():
			return r.end(r.held.Context(), StateFailed, err.Error())
		}
		if err := r.turnBack(err); err != nil {
			return err
		}
	}
	ctx, err := r.held.Context(), r.backward()
	switch run := r.snapshot(); {
	case err != nil && r.leaves(err):
		return err
	case err != nil:
		return r.end(ctx, StateFailed, joinReasons(run.Reason, err.Error()))
	case run.Undoes != "":
		return r.end(ctx, StateSucceeded, "")
	case run.Cancel != nil:
		return r.end(ctx, StateCancelled, run.Reason)
	default:
		return r.end(ctx, StateRolledBack, run.Reason)
	}
}

// leaves reports whether err means to let go of the run as it is.
func (r *runner) leaves(err error) bool {
	return r.held.Context().Err() != nil || errors.Is(err, errOvertaken) ||
		errors.Is(err, errClosing) || errors.Is(err, record.ErrUnwritten)
}

func joinReasons(first, second string) string {
	if first == "" {
		return second
	}
	return first + "; then " + second
}

// turnBack records that the run is to be undone, and why.
func (r *runner) turnBack(err error) error {
	_ = r.held.Confirm() // who breaks the lock cancels too
	if lost := context.Cause(r.held.Context()); lost != nil {
		return lost
	}
	reason := err.Error()
	if by := r.snapshot().Cancel; by != nil && errors.Is(err, ErrCancelled) {
		reason = cmp.Or(by.String(), "on request")
	}
	r.mu.Lock()
	r.ends = false
	r.mu.Unlock()
	err = r.save(r.held.Context(), func(run *Run) {
		run.State, run.Reason = StateRollingBack, cut(reason, maxReason)
	}, Event{Kind: EventProgress, Message: cut(reason, maxReason)})
	if err == nil {
		r.u.log(slog.LevelWarn, "rolling back", r.snapshot(), "err", reason)
	}
	return err
}

// end records the outcome.
func (r *runner) end(ctx context.Context, s State, reason string) error {
	r.mu.Lock()
	r.ends = true
	r.mu.Unlock()
	return r.save(ctx, func(run *Run) {
		run.State, run.Reason = s, cut(reason, maxReason)
		if s == StateSucceeded {
			run.Percent = 100
		}
	}, Event{Kind: EventEnded, Message: cut(reason, maxReason)})
}

// stopsHere reports why no further step may begin.
func (r *runner) stopsHere(ctx context.Context) error {
	if r.u.door.Shut() {
		return errClosing
	}
	return context.Cause(ctx)
}

// forward does every step that is not done. The outcome of a step is written
// together with the intent of the next.
func (r *runner) forward() error {
	if err := r.blocked(); err != nil {
		return err
	}
	for i := range r.run.Steps {
		if rec := r.record(i); rec.Phase != PhaseDone {
			if err := r.stopsHere(r.ahead()); err != nil {
				return err
			}
			if err := r.advance(i, r.p.find(rec.Name), rec); err != nil {
				return fmt.Errorf("step %q: %w", rec.Name, err)
			}
		}
		r.addWeight(i)
	}
	return context.Cause(r.ahead())
}

// blocked tells why a run that was taken over cannot come to a good end: a
// step failed before its process died, or one that is to be done is gone.
func (r *runner) blocked() error {
	for i := range r.run.Steps {
		switch rec := r.record(i); {
		case rec.Phase == PhaseFailed:
			return fmt.Errorf("step %q: %s", rec.Name, rec.Error)
		case rec.Phase != PhaseDone && r.p.find(rec.Name) == nil:
			return fmt.Errorf("step %q is to be done, and is not a step of the package any more", rec.Name)
		}
	}
	return nil
}

// noWayBack reports whether the run has passed its point of no return.
func (r *runner) noWayBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.final
}

// ahead is the context of the way forward: a cancelled run ends it, but not
// past the point of no return.
func (r *runner) ahead() context.Context {
	if r.noWayBack() {
		return r.held.Context()
	}
	return r.forwardContext
}

func (r *runner) addWeight(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base += r.weights[i]
}

// advance brings step i from todo, or from where a dead process left it, to done.
func (r *runner) advance(i int, s *Step, rec StepRecord) error {
	done := false
	if rec.Phase == PhaseDoing {
		var err error
		if done, err = r.revisit(r.ahead(), i, s, rec); err != nil {
			return r.failed(i, err)
		}
	}
	if !done {
		now := stamp()
		err := r.saveStep(r.ahead(), i, EventStep, func(rec *StepRecord) {
			rec.Phase, rec.StartedAt, rec.EndedAt = PhaseDoing, now, time.Time{}
			rec.Attempt++
			s.describe(rec)
		})
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.final, r.begun = r.final || s.PointOfNoReturn, i
		r.mu.Unlock()
		if err := r.call(r.ahead(), i, s, s.Do); err != nil {
			return r.failed(i, err)
		}
	}
	if s.Verify != nil {
		if err := r.call(r.ahead(), i, s, s.Verify); err != nil {
			return r.failed(i, fmt.Errorf("verify: %w", err))
		}
	}
	r.note(i, PhaseDone, nil)
	return nil
}

// revisit asks a step that a dead process had begun whether its effect is
// there, and makes room for another try if it is there in part.
func (r *runner) revisit(ctx context.Context, i int, s *Step, rec StepRecord) (done bool, err error) {
	if s.Probe != nil {
		applied, err := r.probe(ctx, i, s)
		switch {
		case err != nil:
			return false, fmt.Errorf("probe: %w", err)
		case applied == AppliedYes:
			return true, nil
		case applied == AppliedPartly && s.Undo != nil && !s.PointOfNoReturn:
			if err := r.call(ctx, i, s, s.Undo); err != nil {
				return false, fmt.Errorf("undo before another try: %w", err)
			}
		}
	}
	if rec.Attempt >= maxAttempts {
		return false, fmt.Errorf("begun %d times without an end", rec.Attempt)
	}
	return false, nil
}

func (r *runner) probe(ctx context.Context, i int, s *Step) (applied Applied, err error) {
	err = r.call(ctx, i, s, func(ctx context.Context, t *Task) (err error) {
		applied, err = s.Probe(ctx, t)
		return err
	})
	return applied, err
}

// failed notes that step i did not come through.
func (r *runner) failed(i int, err error) error {
	if !r.leaves(err) {
		r.note(i, PhaseFailed, err)
	}
	return err
}

// backward undoes, last first, every step that may have had an effect. What
// the package does not have any more is passed over, since nothing will ever
// undo it; an Undo that fails ends the way back, since it may be tried again.
func (r *runner) backward() error {
	ctx := r.held.Context()
	for i := len(r.run.Steps) - 1; i >= 0; i-- {
		rec := r.record(i)
		s := r.p.find(rec.Name)
		switch {
		case rec.Phase == PhaseUndone && r.run.Undoes != "":
			r.addWeight(i)
			continue
		case s == nil, rec.Phase == PhaseTodo, rec.Phase == PhaseUndone:
			continue
		}
		if err := r.stopsHere(ctx); err != nil {
			return err
		}
		if err := r.takeBack(ctx, i, s, rec); err != nil {
			return r.stuck(s, err)
		}
	}
	_, gone := r.p.effects(r.snapshot())
	return goneError(gone)
}

// stuck is the error of a way back that the Undo of s ended.
func (r *runner) stuck(s *Step, err error) error {
	err = fmt.Errorf("undo of step %q: %w", s.Name, err)
	rest, gone := r.p.effects(r.snapshot())
	rest = slices.DeleteFunc(rest, func(name string) bool { return name == s.Name })
	if len(rest) > 0 {
		err = fmt.Errorf("%w; not undone therefore: %q", err, rest)
	}
	if gone := goneError(gone); gone != nil {
		err = fmt.Errorf("%w; %w", err, gone)
	}
	return err
}

func (r *runner) takeBack(ctx context.Context, i int, s *Step, rec StepRecord) error {
	if s.Undo == nil {
		return nil
	}
	if s.Probe != nil && (rec.Phase == PhaseDoing || rec.Phase == PhaseFailed) {
		// A probe that fails says nothing: Undo bears being run for nothing.
		switch applied, err := r.probe(ctx, i, s); {
		case err != nil && r.leaves(err):
			return err
		case err == nil && applied == AppliedNo:
			r.note(i, PhaseUndone, nil)
			return nil
		}
	}
	if err := r.saveStep(ctx, i, EventStep, func(rec *StepRecord) { rec.Phase = PhaseUndoing }); err != nil {
		return err
	}
	if err := r.call(ctx, i, s, s.Undo); err != nil {
		return err
	}
	r.note(i, PhaseUndone, nil)
	return nil
}
