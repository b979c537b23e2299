package update

import (
	"slices"
	"sync"
)

// Waiters of one process stand in a line for each item of each locker. Only
// the first asks the engine; it is told when this process lets go of the item.
var lines = struct {
	sync.Mutex
	waiting map[line][]*waiter
}{waiting: map[line][]*waiter{}}

type line struct {
	locker Locker
	item   string
}

type waiter struct {
	line line
	turn chan struct{} // has a value when w should ask
}

// queueUp adds a waiter to the end of its line.
func queueUp(l Locker, item string) *waiter {
	w := &waiter{line: line{l, item}, turn: make(chan struct{}, 1)}
	lines.Lock()
	defer lines.Unlock()
	lines.waiting[w.line] = append(lines.waiting[w.line], w)
	if len(lines.waiting[w.line]) == 1 {
		w.again()
	}
	return w
}

// leave takes w out of its line. If it was first, the next may ask.
func (w *waiter) leave() {
	lines.Lock()
	rest := slices.DeleteFunc(lines.waiting[w.line], func(o *waiter) bool { return o == w })
	lines.waiting[w.line] = rest
	if len(rest) == 0 {
		delete(lines.waiting, w.line)
	}
	lines.Unlock()
	wakeNext(w.line.locker, w.line.item)
}

// again makes w ask once more.
func (w *waiter) again() {
	select {
	case w.turn <- struct{}{}:
	default:
	}
}

// wakeNext tells the first waiter for the item, if any, to ask.
func wakeNext(l Locker, item string) {
	lines.Lock()
	defer lines.Unlock()
	if w := lines.waiting[line{l, item}]; len(w) > 0 {
		w[0].again()
	}
}
