package traffic

import (
	"net/http"

	"github.com/upkeep-go/upkeep/rollout"
)

// Chooser chooses as a service does for its requests.
type Chooser struct {
	service *service
	choice  choice
}

// Chooser returns that of a service.
func (r *Router) Chooser(s rollout.ServiceID) *Chooser { return &Chooser{service: r.service(s)} }

// Choose counts a request in and out again, and returns the run that it is for.
func (c *Chooser) Choose(r *http.Request) string {
	c.choice = choice{}
	if c.service.admit(r, &c.choice) != nil {
		return ""
	}
	c.service.leave(c.choice.endpoint)
	return c.choice.revision.Run
}

// Enter counts a request in, which waits if it has to.
func (c *Chooser) Enter(r *http.Request) error {
	c.choice = choice{}
	return c.service.admit(r, &c.choice)
}

// Leave counts it out. Something is done before whoever waits can be placed.
func (c *Chooser) Leave(before func()) {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	c.choice.endpoint.leave()
	before()
	c.service.serveQueue()
}

// Queried reports what a query has.
var Queried = queried

// Cookie returns the first value that a cookie may have.
func Cookie(lines []string, name string) (string, bool) { return cookie(lines, name, printable) }

// Issued reports whether a name may be one that a Router gives.
var Issued = issued

// Hash is that of a visitor and of a run.
var Hash = hash

// Late returns what a request does that has read the table of now and goes on
// later: it is let in at an endpoint, or gets nil. When it leaves it tells whether
// that is closed.
func (r *Router) Late(id rollout.ServiceID) (enter func() (leave func() (closed bool))) {
	s := r.service(id)
	t := s.table.Load()
	return func() func() bool {
		e := t.slots[0].enter(r, nil)
		if e == nil {
			return nil
		}
		return func() bool {
			defer s.leave(e)
			return e.isEmpty()
		}
	}
}
