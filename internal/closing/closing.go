// Package closing is how a service stops: nothing begins any more, and what is
// under way has until a context ends to come to a safe point.
package closing

import (
	"context"
	"sync"
)

// Door counts the work of a service. It is safe for concurrent use.
type Door struct {
	refusal  error
	stopping context.Context
	stop     context.CancelCauseFunc
	ending   context.Context
	end      context.CancelCauseFunc

	mu   sync.Mutex
	busy int           // what is under way
	idle chan struct{} // closed when nothing is, and nothing can begin
}

// NewDoor returns a Door that is open. Once it is shut, what would begin gets
// the refusal, which also is the cause of the end of what is cut short.
func NewDoor(refusal error) *Door {
	d := &Door{refusal: refusal, idle: make(chan struct{})}
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
	release := context.AfterFunc(d.ending, func() { cancel(d.refusal) })
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
	d.end(d.refusal)
	<-d.idle
	return context.Cause(ctx)
}

// Close shuts the Door, ends the contexts of the work, and waits for its end.
func (d *Door) Close() {
	d.shut()
	d.end(d.refusal)
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
