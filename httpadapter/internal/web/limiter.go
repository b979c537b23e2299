package web

import (
	"context"
	"slices"
	"sync"
)

// limiter bounds what is open at once: event streams, or long replies.
type limiter struct {
	all, each int // in all, and of one principal

	mu      sync.Mutex
	open    map[string]int // by principal
	sum     int
	waiting []*waiter // in the order in which they came; none of them fits
}

// waiter is one that wants to enter.
type waiter struct {
	principal string
	entered   chan struct{} // closed when it has
}

func newLimiter(all, each int) *limiter {
	return &limiter{all: all, each: each, open: map[string]int{}}
}

// enter counts one more of a principal, until leave is called. Leave is nil if
// there are too many.
func (l *limiter) enter(principal string) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fit(principal) {
		return nil
	}
	return func() { l.leave(principal) }
}

// wait is enter that waits until ctx ends. Who comes first enters first, but for
// one whose principal has too many. The error is the cause of ctx's end.
func (l *limiter) wait(ctx context.Context, principal string) (leave func(), err error) {
	l.mu.Lock()
	w := &waiter{principal, make(chan struct{})}
	if l.fit(principal) {
		close(w.entered)
	} else {
		l.waiting = append(l.waiting, w)
	}
	l.mu.Unlock()
	select {
	case <-w.entered:
		return func() { l.leave(principal) }, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, w); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		return nil, context.Cause(ctx)
	}
	return func() { l.leave(principal) }, nil // it has entered meanwhile
}

// fit counts one more of a principal, if there are not too many.
func (l *limiter) fit(principal string) bool {
	if l.sum >= l.all || l.open[principal] >= l.each {
		return false
	}
	l.sum++
	l.open[principal]++
	return true
}

// leave ends one, and lets in who fits then.
func (l *limiter) leave(principal string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum--
	if l.open[principal]--; l.open[principal] == 0 {
		delete(l.open, principal)
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waiter) bool {
		fits := l.fit(w.principal)
		if fits {
			close(w.entered)
		}
		return fits
	})
}
