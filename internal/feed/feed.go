// Package feed wakes those who wait for news.
package feed

import "sync"

// Notice tells any number of goroutines that there is news. The zero Notice is
// ready, and safe for concurrent use.
//
// A reader that must miss nothing calls Wait, then looks, and only then waits.
type Notice struct {
	mu   sync.Mutex
	next chan struct{} // nil when nobody waits
}

// Wait returns a channel that the next Set closes.
func (n *Notice) Wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// Set wakes everybody who waits.
func (n *Notice) Set() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}
