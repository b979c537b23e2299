// Package follow reads the events of one run out of those of all.
package follow

import (
	"context"
	"iter"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/internal/pause"
)

// Run is what is followed. E is an event of its domain.
type Run[E any] struct {
	ID    string
	Seq   int64 // of its first event
	Watch func(ctx context.Context, after int64) iter.Seq2[E, error]
	About func(E) Event
	// End is when the run ended, or done is false.
	End func(ctx context.Context) (at time.Time, done bool)
	// Door is that of the service, and Closed why nothing more comes once it is
	// shut and has left a run that has not ended.
	Door   *closing.Door
	Closed error
}

// Event is what is asked of each.
type Event struct {
	Seq     int64
	Time    time.Time
	Run     string
	Last    bool // of its run
	Corrupt bool // it cannot be read: it may be the last
}

// wait is how long what was written last may be on its way.
const wait = 250 * time.Millisecond

// Events yields the events of the run, from its first to its last. An error is
// the last pair.
func (r Run[E]) Events(ctx context.Context) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		ctx, done := r.untilLeft(ctx)
		defer done()
		for e, err := range r.Watch(ctx, r.Seq-1) {
			about := r.About(e)
			if err == nil && about.Run != r.ID {
				continue
			}
			if err != nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !yield(e, err) || err != nil || about.Last || r.endsWith(ctx, about) {
				return
			}
		}
	}
}

// untilLeft returns a context that ends with Closed when the service has closed
// and left the run: if it has ended, its events are there.
func (r Run[E]) untilLeft(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-r.Door.Idle():
		case <-ctx.Done():
			return
		}
		if _, ended := r.End(ctx); !ended && pause.For(ctx, wait) == nil {
			cancel(r.Closed)
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// endsWith reports whether an event that cannot be read is the last of its run.
// It has the time of the end then, as have those that were written with it.
func (r Run[E]) endsWith(ctx context.Context, e Event) bool {
	if !e.Corrupt {
		return false
	}
	if at, ended := r.End(ctx); !ended || e.Time.Before(at) {
		return false
	}
	look, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for next := range r.Watch(look, e.Seq) {
		if r.About(next).Run == r.ID {
			return false
		}
	}
	return ctx.Err() == nil
}
