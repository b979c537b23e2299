package web

import "sync"

// limiter bounds what is open at once: event streams, or long replies.
type limiter struct {
	all, each int // in all, and of one principal

	mu    sync.Mutex
	open  map[string]int // by principal
	sum   int
	ended chan struct{} // closed when something ends
}

func newLimiter(all, each int) *limiter {
	return &limiter{all: all, each: each, open: map[string]int{}, ended: make(chan struct{})}
}

// enter counts one more of a principal, until leave is called. Leave is nil if
// there are too many: when ended is closed is the time for another try.
func (l *limiter) enter(principal string) (leave func(), ended <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum >= l.all || l.open[principal] >= l.each {
		return nil, l.ended
	}
	l.sum++
	l.open[principal]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sum--
		if l.open[principal]--; l.open[principal] == 0 {
			delete(l.open, principal)
		}
		close(l.ended)
		l.ended = make(chan struct{})
	}, nil
}
