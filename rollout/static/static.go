// Package static is a rollout.Deployer of what runs elsewhere: revisions whose
// replicas are known by their base URLs, rollout.Spec.Addresses. It probes those
// that are in use, and starts and stops nothing, so that a program can split
// traffic between services that somebody else runs.
//
// It keeps nothing: after a restart the Controller tells it what is in use.
//
// Read static.go, then replica.go.
package static

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/notice"
	"github.com/upkeep-go/upkeep/rollout"
)

// Config configures a Deployer. A zero field means its documented default.
type Config struct {
	// Transport carries the probes. Default: one of its own, without a proxy.
	Transport *http.Transport
}

// Deployer is a rollout.Deployer. An address is in use by one revision at a
// time: that with the same addresses as another has to wait until these are no
// longer in use, as with Strategy.Unavailable.
type Deployer struct {
	transport *http.Transport
	board     notice.Board

	mu       sync.Mutex
	closed   bool
	replicas map[string]*replica // by endpoint
}

var _ rollout.Deployer = (*Deployer)(nil)

// New returns a Deployer that uses nothing yet.
func New(c Config) *Deployer {
	if c.Transport == nil {
		c.Transport = &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}
	}
	return &Deployer{transport: c.Transport, replicas: make(map[string]*replica)}
}

// Close ends all probes, and waits for them. Calls that follow are
// rollout.ErrClosed. It may be called twice.
func (d *Deployer) Close() error {
	d.mu.Lock()
	d.closed = true
	var all []*replica
	for _, r := range d.replicas {
		all = append(all, r)
	}
	d.mu.Unlock()
	for _, r := range all {
		r.cancel()
		<-r.done
	}
	return nil
}

func (d *Deployer) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return fmt.Errorf("static: %w", rollout.ErrClosed)
	}
	return nil
}

// Check implements rollout.Deployer. What says how a program is to run is not
// enforced here.
func (d *Deployer) Check(_ context.Context, _ rollout.RevisionID, s rollout.Spec) (notEnforced []string, err error) {
	if err := check(s); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Environment", len(s.Environment) > 0},
		{"Port", s.Port != nil},
		{"CPU", s.CPU != nil},
		{"Memory", s.Memory != nil},
		{"Volumes", len(s.Volumes) > 0},
		{"Logs", s.Logs != nil && *s.Logs != "stdout"},
		{"Scaling", len(s.Scaling) > 0},
	} {
		if f.set {
			notEnforced = append(notEnforced, f.name)
		}
	}
	return notEnforced, nil
}

func check(s rollout.Spec) error {
	if len(s.Command) > 0 || s.Archive != nil || s.Image != nil || s.Package != nil || s.Source != nil {
		return fmt.Errorf("static: %w: it starts nothing, and takes Addresses alone", errors.ErrUnsupported)
	}
	if len(s.Addresses) == 0 {
		return fmt.Errorf("static: %w: Addresses", rollout.ErrMissing)
	}
	seen := map[string]bool{}
	for _, a := range s.Addresses {
		u, err := url.Parse(a)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return fmt.Errorf("static: %w: Addresses has one that is no http URL", rollout.ErrInvalid)
		}
		if seen[endpoint(a)] {
			return fmt.Errorf("static: %w: Addresses has %q twice", rollout.ErrInvalid, endpoint(a))
		}
		seen[endpoint(a)] = true
	}
	for _, n := range []*int{s.MinReplicas, s.MaxReplicas} {
		if n != nil && *n > len(s.Addresses) {
			return fmt.Errorf("static: %w: %d replicas need as many Addresses, not %d", rollout.ErrInvalid, *n, len(s.Addresses))
		}
	}
	return nil
}

func endpoint(address string) string { return strings.TrimRight(address, "/") }

// Ensure implements rollout.Deployer: so many addresses of the revision are in
// use, in their order.
func (d *Deployer) Ensure(ctx context.Context, id rollout.RevisionID, s rollout.Spec, replicas int) error {
	if err := check(s); err != nil {
		return err
	}
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.mu.Unlock()
	for _, r := range d.replicas {
		if r.Revision == id && r.State != rollout.ReplicaStopping {
			replicas--
		}
	}
	var taken error
	for _, a := range s.Addresses {
		if replicas <= 0 {
			return nil
		}
		r := d.replicas[endpoint(a)]
		switch {
		case r == nil:
			d.use(id, endpoint(a), s.Health)
			replicas--
		case r.Revision != id:
			taken = errors.Join(taken, fmt.Errorf("static: %w: %q is in use by %s", rollout.ErrInvalid, r.Endpoint, r.Revision))
		}
	}
	if replicas <= 0 {
		return nil
	}
	return cmp.Or(taken, fmt.Errorf("static: %w: %s has %d addresses", rollout.ErrInvalid, id, len(s.Addresses)))
}

// Observe implements rollout.Deployer: the order is that of the endpoints.
func (d *Deployer) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	var all []rollout.Replica
	for _, r := range d.replicas {
		if r.Revision.Service == s {
			all = append(all, r.Replica)
		}
	}
	slices.SortFunc(all, func(a, b rollout.Replica) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	return all, nil
}

// Stop implements rollout.Deployer: these replicas are no longer in use. They
// run on.
func (d *Deployer) Stop(ctx context.Context, id rollout.RevisionID, replicas []string, _ time.Duration) error {
	if err := d.lock(ctx); err != nil {
		return err
	}
	var leaving []*replica
	for _, r := range d.replicas {
		if r.Revision == id && slices.Contains(replicas, r.ID) {
			r.State, r.Failure = rollout.ReplicaStopping, ""
			r.cancel()
			leaving = append(leaving, r)
			d.board.Tell()
		}
	}
	d.mu.Unlock()
	for _, r := range leaving {
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		d.mu.Lock()
		if d.replicas[r.Endpoint] == r {
			delete(d.replicas, r.Endpoint)
			d.board.Tell()
		}
		d.mu.Unlock()
	}
	return nil
}

// Logs implements rollout.Deployer: what runs elsewhere has its output there.
func (d *Deployer) Logs(context.Context, rollout.RevisionID, rollout.LogQuery) (io.ReadCloser, error) {
	return nil, fmt.Errorf("static: the output of what runs elsewhere: %w", errors.ErrUnsupported)
}

// Changed implements rollout.Deployer.
func (d *Deployer) Changed(ctx context.Context) <-chan struct{} { return d.board.Listen(ctx) }
