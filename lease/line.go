package lease

import (
	"slices"
	"sync"
)

// Line is where the waiters of a process stand, for every item of one Locker.
// Only the first for an item asks the engine; it is told when somebody who
// holds the item by the same Line lets go of it. The zero Line is empty. It is
// safe for concurrent use and must not be copied.
type Line struct {
	mu      sync.Mutex
	waiting map[string][]*waiter // by item
}

type waiter struct {
	line *Line
	item string
	turn chan struct{} // has a value when w should ask
}

// join adds a waiter to the end of the line for an item.
func (l *Line) join(item string) *waiter {
	w := &waiter{line: l, item: item, turn: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = map[string][]*waiter{}
	}
	l.waiting[item] = append(l.waiting[item], w)
	if len(l.waiting[item]) == 1 {
		w.again()
	}
	return w
}

// next tells the first waiter for the item, if any, to ask.
func (l *Line) next(item string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.waiting[item]; len(w) > 0 {
		w[0].again()
	}
}

// leave takes w out of its line. If it was first, the next may ask.
func (w *waiter) leave() {
	l := w.line
	l.mu.Lock()
	rest := slices.DeleteFunc(l.waiting[w.item], func(o *waiter) bool { return o == w })
	l.waiting[w.item] = rest
	if len(rest) == 0 {
		delete(l.waiting, w.item)
	}
	l.mu.Unlock()
	l.next(w.item)
}

// again makes w ask once more.
func (w *waiter) again() {
	select {
	case w.turn <- struct{}{}:
	default:
	}
}
