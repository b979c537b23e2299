package update

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var errAbandoned = errors.New("the step ignores its cancellation and was left alone")

// call runs one function of step i under watch.
func (r *runner) call(ctx context.Context, i int, s *Step, f func(context.Context, *Task) error) error {
	t := r.task(i, s)
	defer r.callEnded()
	return r.u.call(ctx, s, t, f, r.lastSign)
}

// call runs one function of a step and watches over it: a step that shows no
// sign of life for LockTTL is cancelled with ErrStalled, and one that does not
// return for a sixth of that after its context has ended is left alone, so
// that the lock can be free. Shutdown and Close still wait for it, and when it
// was they who ended its context, its lock is not free before it returns.
func (u *Updater) call(
	ctx context.Context, s *Step, t *Task, f func(context.Context, *Task) error, lastSign func() time.Time,
) error {
	if u.door.Ending().Err() != nil {
		return errClosing
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(u.door.Ending(), func() { cancel(errClosing) })()
	done := make(chan error, 1)
	u.door.Go(func() {
		err := errors.New("the step ended its goroutine")
		defer func() {
			if err != nil && ctx.Err() != nil { // that is why
				err = chain(context.Cause(ctx), err)
			}
			done <- err
		}()
		err = s.bounded(ctx, t, f)
	})
	stall, grace := u.config.LockTTL, u.config.LockTTL/6
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return awaitEnd(ctx, done, grace)
		case <-timer.C:
		}
		silent := time.Since(lastSign())
		if silent >= stall {
			cancel(fmt.Errorf("%w: no progress for %s", ErrStalled, stall))
			return awaitEnd(ctx, done, grace)
		}
		timer.Reset(stall - silent)
	}
}

// awaitEnd gives a cancelled step some time to return, and one that the closing
// Updater ended all that it takes.
func awaitEnd(ctx context.Context, done <-chan error, grace time.Duration) error {
	if errors.Is(context.Cause(ctx), errClosing) {
		return <-done
	}
	select {
	case err := <-done:
		return chain(context.Cause(ctx), err)
	case <-time.After(grace):
		return fmt.Errorf("%w: %w", errAbandoned, context.Cause(ctx))
	}
}

// task is what the functions of step i get.
func (r *runner) task(i int, s *Step) *Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step, r.sign = s, time.Now()
	r.notes.begin(s.Name)
	rec := r.run.Steps[i]
	run := r.run
	run.Steps = nil // a copy of many, for each of many
	t := &Task{Run: run.Clone(), Release: run.Release.clone(), data: rec.Data}
	t.Log = output{r, s}
	t.progress = func(done, total int64, message string) { r.progress(i, s, done, total, message) }
	t.keep = func(ctx context.Context, data []byte) error {
		if !r.alive(s) {
			return fmt.Errorf("%w: step %q is not under way", ErrStale, s.Name)
		}
		return r.saveStep(ctx, i, EventSaved, func(rec *StepRecord) { rec.Data = data })
	}
	return t
}

// callEnded makes what an abandoned step still says be ignored.
func (r *runner) callEnded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = nil
	r.notes.settle()
}

func (r *runner) lastSign() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sign
}

// alive takes a sign of life of step s, unless s was left alone.
func (r *runner) alive(s *Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.step != s {
		return false
	}
	r.sign = time.Now()
	return true
}

func (r *runner) progress(i int, s *Step, done, total int64, message string) {
	if !r.alive(s) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run.State == StateRunning && total > 0 {
		share := float64(min(max(done, 0), total)) / float64(total)
		r.run.Percent = r.percent(float64(r.base) + share*float64(r.weights[i]))
	}
	r.notes.progress = &Event{Kind: EventProgress, Step: s.Name, Message: cut(message, maxReason)}
}

// output turns what a step writes into notes.
type output struct {
	r *runner
	s *Step
}

func (o output) Write(p []byte) (int, error) {
	if o.r.alive(o.s) {
		o.r.mu.Lock()
		o.r.notes.output(p)
		o.r.mu.Unlock()
	}
	return len(p), nil
}
