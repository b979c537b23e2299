package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// An endpoint that gave no reply so many times in a row is left out for so long,
// unless nobody else can take its part.
const (
	strikes = 3
	leftOut = 2 * time.Second
)

// errNotSent reports that nothing of a request was sent: there is no connection.
var errNotSent = errors.New("traffic: no connection")

// endpoint is a replica. Once it has left the table it is not used again: one
// with the same URL in a later table is another.
type endpoint struct {
	url       string
	base      *url.URL
	transport *http.Transport
	once      *http.Transport // for what cannot be sent twice: each connection has one request

	most   int64 // requests at a time; 0: any number
	open   atomic.Int64
	gone   atomic.Bool   // from the table
	empty  chan struct{} // closed when it is gone and nothing is open
	retire sync.Once

	failures atomic.Int32 // in a row
	back     atomic.Int64 // when it is no more left out; 0: it is not. Both are times of Router.now
	warm     atomic.Int64 // when it gets all of its part; 0: it does
	warmth   time.Duration
	offered  atomic.Uint64 // to one that is not warm

	mu      sync.Mutex
	conns   map[*conn]bool
	tunnels map[*tunnel]bool
	shut    bool      // nothing is dialled any more
	ended   bool      // tunnels end at once
	drained time.Time // when the first Drain began
}

// tuned is a transport that keeps many connections. A reply whose headers have
// more than a megabyte is no valid one.
func tuned() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		MaxIdleConnsPerHost:    1024,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 1 << 20,
	}
}

// newEndpoint returns the endpoint of a base URL that Table.Check has passed.
func (r *Router) newEndpoint(base string) (*endpoint, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("%w: an endpoint is no URL", rollout.ErrInvalid)
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	e := &endpoint{
		url: base, base: u, transport: r.config.Transport.Clone(), most: int64(r.config.MaxConcurrent),
		empty: make(chan struct{}), conns: make(map[*conn]bool), tunnels: make(map[*tunnel]bool),
	}
	if r.config.Warm > 0 {
		e.warmth = r.config.Warm
		e.warm.Store(int64(r.now() + e.warmth))
	}
	e.transport.IdleConnTimeout = r.config.Idle
	e.transport.Protocols = new(http.Protocols)
	e.transport.Protocols.SetHTTP1(true)
	dial := e.transport.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	e.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotSent, err)
		}
		return e.keep(c)
	}
	e.once = e.transport.Clone()
	e.once.MaxIdleConnsPerHost = -1 // without telling the service, which may then read no more
	return e, nil
}

// carrier returns who carries a request. A service that closes an idle connection
// while a request comes may have seen of it what it will: one that changes
// something is lost then, and is not sent where that can happen.
func (e *endpoint) carrier(r *http.Request) *http.Transport {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		if r.Body == nil {
			return e.transport
		}
	}
	return e.once
}

// fit reports whether an endpoint should get a request that is its turn.
func (e *endpoint) fit(r *Router) bool {
	back, warm := e.back.Load(), e.warm.Load()
	if back == 0 && warm == 0 {
		return true // and the time, which takes as long as all else, is not asked for
	}
	now := r.now()
	if int64(now) < back {
		return false
	}
	if warm == 0 {
		return true
	}
	left := float64(warm-int64(now)) / float64(e.warmth)
	if left <= 0 {
		e.warm.Store(0)
		return true
	}
	// Multiples of the golden ratio are spread evenly.
	spread := float64(e.offered.Add(1)*0x9e3779b97f4a7c15>>11) / (1 << 53)
	return spread >= left
}

// enter counts a request in, unless there are too many or the endpoint is gone.
func (e *endpoint) enter() bool {
	if e.most == 0 {
		e.open.Add(1)
	} else {
		for {
			n := e.open.Load()
			if n >= e.most {
				return false
			}
			if e.open.CompareAndSwap(n, n+1) {
				break
			}
		}
	}
	// Whoever marks it as gone looks at the count after that: one of both sees
	// the other.
	if e.gone.Load() {
		e.leave()
		return false
	}
	return true
}

// leave counts a request out.
func (e *endpoint) leave() {
	if e.open.Add(-1) == 0 && e.gone.Load() {
		e.close()
	}
}

// depart marks an endpoint as gone from the table.
func (e *endpoint) depart() {
	e.gone.Store(true)
	if e.open.Load() == 0 {
		e.close()
	}
}

// close ends what is kept of an endpoint where nothing is open.
func (e *endpoint) close() {
	e.retire.Do(func() {
		e.mu.Lock()
		e.shut = true
		var kept []*conn
		for c := range e.conns {
			kept = append(kept, c)
		}
		e.mu.Unlock()
		e.transport.CloseIdleConnections()
		for _, c := range kept {
			_ = c.Close() // nobody uses it
		}
		close(e.empty)
	})
}

// isEmpty reports whether an endpoint that is gone has been closed.
func (e *endpoint) isEmpty() bool {
	select {
	case <-e.empty:
		return true
	default:
		return false
	}
}

// answered ends a row of failures.
func (e *endpoint) answered() {
	if e.failures.Load() != 0 {
		e.failures.Store(0)
		e.back.Store(0)
	}
}

// failed counts a request without a reply.
func (e *endpoint) failed(now time.Duration) {
	if e.failures.Add(1) >= strikes {
		e.back.Store(int64(now + leftOut))
	}
}

// conn is a connection to an endpoint, which knows of it.
type conn struct {
	net.Conn
	of *endpoint
}

func (e *endpoint) keep(c net.Conn) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		_ = c.Close()
		return nil, errNotSent
	}
	kept := &conn{c, e}
	e.conns[kept] = true
	return kept, nil
}

// Close closes the connection, and forgets it.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite says that nothing more comes, if the connection can.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

// add notes a tunnel that Drain may end.
func (e *endpoint) add(t *tunnel) {
	e.mu.Lock()
	e.tunnels[t] = true
	ended := e.ended
	e.mu.Unlock()
	if ended {
		t.close()
	}
}

func (e *endpoint) remove(t *tunnel) {
	e.mu.Lock()
	delete(e.tunnels, t)
	e.mu.Unlock()
}

// drain returns how long tunnels may stay open, which begins with the first
// call.
func (e *endpoint) drain(stream time.Duration) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.drained.IsZero() {
		e.drained = time.Now()
	}
	return stream - time.Since(e.drained)
}

// endTunnels closes what is upgraded, now and from now on.
func (e *endpoint) endTunnels() {
	e.mu.Lock()
	e.ended = true
	var tunnels []*tunnel
	for t := range e.tunnels {
		tunnels = append(tunnels, t)
	}
	e.mu.Unlock()
	for _, t := range tunnels {
		t.close()
	}
}
