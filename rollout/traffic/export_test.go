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
	if !c.service.place(r, &c.choice) {
		return ""
	}
	c.service.leave(c.choice.endpoint)
	return c.choice.revision.Run
}

// What is parsed.
var (
	Queried = queried
	Cookie  = cookie
)
