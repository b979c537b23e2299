// Package closing is how a service stops: nothing begins any more, and what is
// under way has until a context ends to come to a safe point.
package closing

import (
	"context"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// Door counts the work of a service. It is safe for concurrent use.
type Door struct {
	refusal  error
	cut      error
	stopping context.Context
	stop     context.CancelCauseFunc
	ending   context.Context
	end      context.CancelCauseFunc

	mu   sync.Mutex
	busy int           // what is under way
	idle chan struct{} // closed when nothing is, and nothing can begin
}

// NewDoor returns a Door that is open. Once it is shut, what would begin, or
// waits, gets the refusal; cut is the cause of the end of what is cut short.
func NewDoor(refusal, cut error) *Door {
	d := &Door{refusal: refusal, cut: cut, idle: make(chan struct{})}
	d.stopping, d.stop = context.WithCancelCause(context.Background())
	d.ending, d.end = context.WithCancelCause(context.Background())
	return d
}

// Enter begins work, which lasts until done is called. Its context ends with
// ctx, and when there is no more time for a safe point. What is begun by work,
// with its context, may still begin while there is time.
func (d *Door) Enter(ctx context.Context) (work context.Context, done func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending.Err() != nil || d.Shut() && (d.busy == 0 || ctx.Value(d) == nil) {
		return nil, nil, d.refusal
	}
	d.busy++
	work, cancel := context.WithCancelCause(context.WithValue(ctx, d, true))
	release := context.AfterFunc(d.ending, func() { cancel(d.cut) })
	return work, func() {
		release()
		cancel(nil)
		d.leave()
	}, nil
}

// Go runs f as a part of what is under way, which alone may call it: also when
// the Door is shut, and when there is no more time.
func (d *Door) Go(f func()) {
	d.mu.Lock()
	d.busy++
	d.mu.Unlock()
	go func() {
		defer d.leave()
		f()
	}()
}

func (d *Door) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy--
	if d.Shut() && d.busy == 0 {
		close(d.idle)
	}
}

// Stopping is a context that ends as soon as the Door is shut: work that never
// ends by itself goes to its safe point and ends.
func (d *Door) Stopping() context.Context { return d.stopping }

// Until returns a context that ends with ctx, and as soon as the Door is shut.
// Who has it calls done.
func (d *Door) Until(ctx context.Context) (until context.Context, done func()) {
	until, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(d.stopping, func() { cancel(d.refusal) })
	return until, func() {
		release()
		cancel(nil)
	}
}

// Pause waits for some time, or returns why ctx, or all, ends before.
func (d *Door) Pause(ctx context.Context, wait time.Duration) error {
	ctx, done := d.Until(ctx)
	defer done()
	return pause.For(ctx, wait)
}

// Repeat calls f, and pauses, until ctx ends or the Door is shut, and returns
// why. It calls failed when f begins to fail, or fails for another reason.
func (d *Door) Repeat(ctx context.Context, wait time.Duration, f func(context.Context) error, failed func(error)) error {
	for told := ""; ; {
		err := f(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		reason := ""
		if err != nil && !d.Shut() {
			reason = err.Error()
		}
		if reason != "" && reason != told {
			failed(err)
		}
		told = reason
		if err := d.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// Insist calls f. If it fails, work goes on to call it in the background, as long
// as it may help, or until the Door is shut. A part of what is under way calls it.
func (d *Door) Insist(helps time.Duration, f func() error) error {
	err := f()
	if err == nil {
		return nil
	}
	d.Go(func() {
		ctx, cancel := context.WithTimeout(d.stopping, helps)
		defer cancel()
		for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			ended := pause.For(ctx, wait) != nil
			if f() == nil || ended {
				return
			}
		}
	})
	return err
}

// Shut reports whether nothing may begin any more.
func (d *Door) Shut() bool { return d.stopping.Err() != nil }

// Idle is closed when the Door is shut and nothing is under way.
func (d *Door) Idle() <-chan struct{} { return d.idle }

// Ending is a context that ends when there is no more time for a safe point.
func (d *Door) Ending() context.Context { return d.ending }

// Shutdown shuts the Door and waits until nothing is under way. When ctx ends
// before, it ends the contexts of the work, and returns the cause of ctx once
// the work has ended.
func (d *Door) Shutdown(ctx context.Context) error {
	d.shut()
	select {
	case <-d.idle:
		return nil
	default:
	}
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
	}
	d.end(d.cut)
	<-d.idle
	return context.Cause(ctx)
}

// Close shuts the Door, ends the contexts of the work, and waits for its end.
func (d *Door) Close() {
	d.shut()
	d.end(d.cut)
	<-d.idle
}

func (d *Door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Shut() {
		return
	}
	d.stop(d.refusal)
	if d.busy == 0 {
		close(d.idle)
	}
}
