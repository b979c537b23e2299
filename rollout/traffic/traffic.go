// Package traffic is a reverse proxy that splits traffic exactly, drains by
// counting, and counts what it serves.
//
// Read traffic.go; then table.go, match.go, visitor.go and service.go for who
// gets a request, queue.go for those that wait, endpoint.go for what is counted
// and drained, proxy.go, forward.go, body.go and tunnel.go for the way there and
// back.
package traffic

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// Config configures a Router. A zero field means its documented default.
type Config struct {
	// Transport carries the requests: a copy of it for each endpoint, over
	// HTTP/1.1. Default: one that keeps many idle connections, dials for at most 3
	// seconds, and takes a megabyte of a reply's headers.
	Transport *http.Transport
	// Idle is how long a connection to a service is kept. Default 4 seconds,
	// which is less than what services keep theirs. Requests with a body, and of
	// other methods than GET, HEAD, OPTIONS and TRACE, get a connection each.
	Idle time.Duration
	// Stream is the time that an upgraded connection has to end when it is
	// drained. Default 25 seconds, which is less than a run waits by default.
	Stream time.Duration

	MaxConcurrent int           // requests of one endpoint; more go to the next, or wait; default: no limit
	Warm          time.Duration // in which the share of a new endpoint grows to its part; default 0

	// Requests for what is not ready, is busy or is held wait, the first first,
	// and nothing of their bodies is read. One whose client leaves is out at once;
	// if it has a body, behind which nobody can look, only once that is sent on.
	Queue      int           // requests of a service that may wait; default 100
	QueueTotal int           // requests of all services; default 1000
	QueueTime  time.Duration // how long; default 30 seconds
	// Unavailable answers what may not wait, or not any more, as one that the
	// application ends meanwhile. Default: 503 with Retry-After.
	Unavailable http.Handler

	// TrustedProxies are where proxies in front ask from: what they say in
	// X-Forwarded-For, -Proto and -Host and in Forwarded is passed on, with their
	// own address behind that of the client. From elsewhere it is dropped and
	// said anew, and so are X_Forwarded_For and the like, which some programs take
	// for the same. Host is always passed on as it came. Default: none.
	TrustedProxies []netip.Prefix

	// Observe is told of each request when it is over. Default: nothing.
	Observe func(Served)
	// RevisionHeader tells clients in X-Upkeep-Revision who answered: version
	// and run.
	RevisionHeader bool
}

// Served is a request that is over.
type Served struct {
	Revision rollout.RevisionID // zero: it was not passed on
	Endpoint string
	Status   int           // of the service's reply; 0: there was none
	First    time.Duration // from when it was passed on until the reply began
	Err      error         // why there was no reply, or none that is whole
	Request  *http.Request
}

// Router is a rollout.Router for services over HTTP/1.1: gRPC and h2c are
// refused with 502 and the reason. gRPC-Web is plain HTTP, and passes.
type Router struct {
	config   Config
	start    time.Time
	exchange sync.Pool    // of *exchange
	waiting  atomic.Int64 // requests of all services

	mu sync.RWMutex
	// services stay when they are removed: a Handler goes on with its service if
	// that comes back, the generation refuses tables of before, and what was open
	// is still counted. It is 2 to 14 kB of each, most of it counts.
	services map[rollout.ServiceID]*service
	watchers map[chan struct{}]bool
}

var _ rollout.Router = (*Router)(nil)

// New returns a Router. It starts nothing.
func New(c Config) *Router {
	if c.Transport == nil {
		c.Transport = tuned()
	}
	if c.Idle <= 0 {
		c.Idle = 4 * time.Second
	}
	if c.Stream <= 0 {
		c.Stream = 25 * time.Second
	}
	if c.Queue <= 0 {
		c.Queue = 100
	}
	if c.QueueTotal <= 0 {
		c.QueueTotal = 1000
	}
	if c.QueueTime <= 0 {
		c.QueueTime = 30 * time.Second
	}
	if c.Unavailable == nil {
		c.Unavailable = http.HandlerFunc(unavailable)
	}
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	r := &Router{
		config: c, start: time.Now(),
		services: make(map[rollout.ServiceID]*service), watchers: make(map[chan struct{}]bool),
	}
	r.exchange.New = func() any { return newExchange(r) }
	return r
}

func unavailable(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "5")
	http.Error(w, "the service is not available now", http.StatusServiceUnavailable)
}

// now is the time since this Router began.
func (r *Router) now() time.Duration { return time.Since(r.start) }

// Handler serves a service. Until it has a table, requests wait in the queue. A
// request is sent again, to another endpoint by the table that is in force then,
// only if nothing of it was sent; one that may be repeated, such as a GET, also
// on a new connection where its service has closed a kept one.
//
// Where the context of a request ends with a deadline or a cause, as that of
// http.TimeoutHandler, the service was too late: an error. Where it is just
// cancelled, the client has left, which is none.
func (r *Router) Handler(s rollout.ServiceID) http.Handler { return r.service(s) }

// service returns a service, which is new if it is not known.
func (r *Router) service(id rollout.ServiceID) *service {
	if s := r.known(id); s != nil {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[id]
	if s == nil {
		s = newService(r, id)
		r.services[id] = s
	}
	return s
}

// known returns a service, or nil.
func (r *Router) known(id rollout.ServiceID) *service {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.services[id]
}

// Set implements rollout.Router. Endpoints are http URLs.
func (r *Router) Set(ctx context.Context, s rollout.ServiceID, t rollout.Table) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.Check(); err != nil {
		return err
	}
	return r.service(s).set(t)
}

// Get implements rollout.Router.
func (r *Router) Get(ctx context.Context, s rollout.ServiceID) (rollout.Table, error) {
	if err := ctx.Err(); err != nil {
		return rollout.Table{}, err
	}
	if known := r.known(s); known != nil {
		if t := known.table.Load(); t != nil {
			return clone(t.Table), nil
		}
	}
	return rollout.Table{}, fmt.Errorf("%w: no table of service %q", rollout.ErrNotFound, s)
}

// Drain implements rollout.Router, for what this Router has open. Upgraded connections are ended after
// Config.Stream, other requests not at all.
func (r *Router) Drain(ctx context.Context, s rollout.ServiceID, endpoints ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if known := r.known(s); known != nil {
		return known.drain(ctx, endpoints)
	}
	return nil
}

// Stats implements rollout.Router, for what this Router has passed on. An upgraded connection counts when it is
// upgraded, any other request when it is over. Revisions that have left the
// table are forgotten after 16 others.
func (r *Router) Stats(ctx context.Context, s rollout.ServiceID) (rollout.Stats, error) {
	if err := ctx.Err(); err != nil {
		return rollout.Stats{}, err
	}
	if known := r.known(s); known != nil {
		return known.stats(), nil
	}
	return rollout.Stats{Revisions: map[string]rollout.Counts{}}, nil
}

// Changed implements rollout.Router.
func (r *Router) Changed(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[changed] = true
	for _, s := range r.services {
		if s.starving.Load() > 0 {
			tell(changed)
		}
	}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, changed)
		close(changed)
	})
	return changed
}

// changed tells who watches that a request waits for what is not ready.
func (r *Router) changed() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for c := range r.watchers {
		tell(c)
	}
}

func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
