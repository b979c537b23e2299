package traffic

import (
	"container/list"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// errUnavailable reports that a request could not wait, or waited too long.
var errUnavailable = errors.New("traffic: nothing is ready, and the queue is full or took too long")

// errTried reports that all that there is for a request was tried.
var errTried = errors.New("traffic: no endpoint is left to try")

// waiter is a request in the queue.
type waiter struct {
	request *http.Request
	choice  *choice
	ready   chan struct{} // closed once it waits no more
	err     error         // why it is not placed then
}

// admit finds an endpoint for a request that has come, which waits if it has to.
func (s *service) admit(r *http.Request, c *choice) error {
	if s.waiting.Load() == 0 && s.place(r, c) {
		return nil
	}
	return s.wait(r, c)
}

// place finds an endpoint that was not tried for a request, by the table in
// force, and counts it in there. It returns false if there is none now.
func (s *service) place(r *http.Request, c *choice) bool {
	for s.choose(r, c) {
		if e := c.revision.enter(s.router, c.tried); e != nil {
			c.endpoint = e
			return true
		}
		if s.table.Load() == c.table {
			return false
		}
	}
	return false
}

// choose finds the revision for a request by the table in force, and returns
// false if there is none, or none that may be asked now.
func (s *service) choose(r *http.Request, c *choice) bool {
	t := s.table.Load()
	if t == nil || t.Held {
		return false
	}
	if c.table != t {
		c.table = t
		c.revision, c.visitor = t.choose(r)
	}
	return c.revision != nil && len(c.revision.endpoints) > 0
}

// leave counts a request out, in whose place another may come.
func (s *service) leave(e *endpoint) {
	e.leave()
	if e.most > 0 && s.waiting.Load() > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.serveQueue()
	}
}

// serveQueue places whoever can be, in the order in which they came: nobody
// passes one who waits for the same revision. The lock is held.
func (s *service) serveQueue() {
	var full []*revision
	for el := s.queue.Front(); el != nil; {
		next := el.Next()
		w := el.Value.(*waiter)
		if s.choose(w.request, w.choice) {
			switch {
			case s.exhausted(w.choice):
				s.end(el, errTried)
			case slices.Contains(full, w.choice.revision):
			case s.place(w.request, w.choice):
				s.end(el, nil)
			case len(w.choice.tried) == 0: // one who has tried some waits for others
				full = append(full, w.choice.revision)
			}
		}
		el = next
	}
}

// end takes a request out of the queue, which goes on, or fails. The lock is held.
func (s *service) end(el *list.Element, err error) {
	s.drop(el)
	w := el.Value.(*waiter)
	w.err = err
	close(w.ready)
}

// drop takes a request out of the queue. The lock is held.
func (s *service) drop(el *list.Element) {
	s.queue.Remove(el)
	s.waiting.Add(-1)
	s.router.waiting.Add(-1)
}

// push puts a request at the end of the queue, out of which it is at once if it
// need not wait, or returns nil if it may not. The lock is held.
func (s *service) push(w *waiter) *list.Element {
	el := s.queue.PushBack(w)
	s.waiting.Add(1) // who leaves from now on sees it
	all := s.router.waiting.Add(1)
	s.serveQueue()
	config := &s.router.config
	if w.ended() || s.queue.Len() <= config.Queue && all <= int64(config.QueueTotal) {
		return el
	}
	s.drop(el)
	return nil
}

// ended reports whether a request waits no more.
func (w *waiter) ended() bool {
	select {
	case <-w.ready:
		return true
	default:
		return false
	}
}

// wait keeps a request in the queue until it is placed, or there is nothing that
// it has not tried. Nothing of its body is read.
func (s *service) wait(r *http.Request, c *choice) error {
	w := &waiter{request: r, choice: c, ready: make(chan struct{})}
	s.mu.Lock()
	el := s.push(w)
	starves := el != nil && !w.ended() && s.starves(c)
	s.mu.Unlock()
	if el == nil {
		return errUnavailable
	}
	if starves {
		s.starving.Add(1)
		defer s.starving.Add(-1)
		s.router.changed()
	}

	timer := time.NewTimer(s.router.config.QueueTime)
	defer timer.Stop()
	err := errUnavailable
	select {
	case <-w.ready:
		return w.err
	case <-r.Context().Done():
		err = context.Cause(r.Context())
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.ended() { // meanwhile
		return w.err
	}
	s.drop(el)
	return err
}

// starves reports whether a request waits for what has no endpoint. The lock is
// held.
func (s *service) starves(c *choice) bool {
	t := s.table.Load()
	return t == nil || !t.Held && (c.revision == nil || len(c.revision.endpoints) == 0)
}

// exhausted reports whether all that the table in force has for a request was
// tried.
func (s *service) exhausted(c *choice) bool {
	t := s.table.Load()
	if t == nil || t.Held || t != c.table || c.revision == nil || len(c.revision.endpoints) == 0 {
		return false
	}
	for _, e := range c.revision.endpoints {
		if !slices.Contains(c.tried, e) {
			return false
		}
	}
	return true
}
