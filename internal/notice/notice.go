// Package notice tells whoever listens that something has changed, and not too
// often.
package notice

import (
	"context"
	"sync"
	"time"
)

// Pause is between two notices to one listener, at least.
const Pause = 10 * time.Millisecond

// Board is where changes are told. The zero Board is ready.
type Board struct {
	mu        sync.Mutex
	listeners map[*listener]bool
}

type listener struct {
	c    chan struct{}
	last time.Time   // when it was last told
	next *time.Timer // nil if nothing is still to be told
}

// Tell tells every listener, at once or when its pause is over. What has not
// been received yet is told once.
func (b *Board) Tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		if l.next != nil {
			continue
		}
		if wait := Pause - time.Since(l.last); wait > 0 && !l.last.IsZero() {
			l.next = time.AfterFunc(wait, func() { b.late(l) })
			continue
		}
		l.tell()
	}
}

func (b *Board) late(l *listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners[l] {
		l.next = nil
		l.tell()
	}
}

func (l *listener) tell() {
	l.last = time.Now()
	select {
	case l.c <- struct{}{}:
	default:
	}
}

// Listen returns a channel that receives what Tell tells from now on, and is
// closed when ctx ends.
func (b *Board) Listen(ctx context.Context) <-chan struct{} {
	l := &listener{c: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = make(map[*listener]bool)
	}
	b.listeners[l] = true
	context.AfterFunc(ctx, func() { b.leave(l) })
	return l.c
}

func (b *Board) leave(l *listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners, l)
	if l.next != nil {
		l.next.Stop()
	}
	close(l.c)
}
