package update

import (
	"context"
	"fmt"
	"iter"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// Follow yields the events of one run, of this process or another, in order and
// losing none: from its first to its last, which is EventEnded, or EventCorrupt
// if that cannot be read. It waits for more until then, or until ctx ends. An error is the last pair: ErrNotFound
// for an unknown run, ErrCompacted when not all of its events are kept,
// ErrClosed when the Updater is closed before the run has ended, and else as
// Watch has it.
func (u *Updater) Follow(ctx context.Context, id string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		run, err := u.Get(ctx, id)
		if err == nil && run.Seq == 0 {
			err = fmt.Errorf("%w: run %q has none", ErrCompacted, id)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		ctx, done := u.untilLeft(ctx, id)
		defer done()
		for e, err := range u.Watch(ctx, run.Seq-1) {
			if err == nil && e.Run != id {
				continue
			}
			if err != nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !yield(e, err) || err != nil || e.Kind == EventEnded || u.endsWith(ctx, e) {
				return
			}
		}
	}
}

// untilLeft returns a context that ends with errClosing when the Updater has
// closed and left the run: if it has ended, its events are there.
func (u *Updater) untilLeft(ctx context.Context, id string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-u.door.Idle():
		case <-ctx.Done():
			return
		}
		run, err := u.Get(ctx, id)
		if err == nil && run.State.Done() {
			return
		}
		if pause.For(ctx, waitInterval) == nil { // what was written last may be on its way
			cancel(errClosing)
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// endsWith reports whether an event that cannot be read is the last of its run.
// It has the time of the end then, as have those that were written with it.
func (u *Updater) endsWith(ctx context.Context, e Event) bool {
	if e.Kind != EventCorrupt {
		return false
	}
	run, err := u.Get(ctx, e.Run)
	if err != nil || !run.State.Done() || e.Time.Before(run.EndedAt) {
		return false
	}
	look, cancel := context.WithTimeout(ctx, waitInterval)
	defer cancel()
	for next := range u.Watch(look, e.Seq) {
		if next.Run == e.Run {
			return false
		}
	}
	return ctx.Err() == nil
}
