// Package static is a rollout.Deployer of what runs elsewhere: revisions whose
// replicas are known by their base URLs, rollout.Spec.Addresses. It probes those
// that are in use, and starts and stops nothing, so that a program can split
// traffic between services that somebody else runs.
//
// It keeps nothing: the Controller of each process tells its own what is in use,
// after a restart too, as it is a rollout.Adopter.
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

// Deployer is a rollout.Deployer. Revisions of one service may have addresses in
// common, such as when one is added to those that there are: each is a replica
// of every revision that has it, probed as each wants it, and its requests go
// on until no revision has it. An address is in use by one service at a time:
// Check, and so Plan and Start, refuse it to another.
type Deployer struct {
	transport *http.Transport
	board     notice.Board

	mu       sync.Mutex
	closed   bool
	replicas map[string]*replica // by ID
}

var _ rollout.Adopter = (*Deployer)(nil)

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
func (d *Deployer) Check(ctx context.Context, id rollout.RevisionID, s rollout.Spec) (notEnforced []string, err error) {
	if err := check(s); err != nil {
		return nil, err
	}
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	err = d.free(id.Service, s)
	d.mu.Unlock()
	if err != nil {
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
	for i, a := range s.Addresses {
		switch u, err := url.Parse(a); {
		case err == nil && u.Scheme == "https":
			return fmt.Errorf("static: %w: Addresses[%d] is https, which is not spoken to services", rollout.ErrInvalid, i)
		case err != nil || u.Scheme != "http" || u.Host == "":
			return fmt.Errorf("static: %w: Addresses[%d] is no http URL", rollout.ErrInvalid, i)
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

// free refuses an address that another service uses. The mutex is held.
func (d *Deployer) free(id rollout.ServiceID, s rollout.Spec) error {
	for _, a := range s.Addresses {
		for _, r := range d.replicas {
			if r.Endpoint == endpoint(a) && r.Revision.Service != id {
				return fmt.Errorf("static: %w: Addresses: %q is in use by %s: remove it there, or roll that to others with KeepOld -1",
					rollout.ErrInvalid, endpoint(a), r.Revision)
			}
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
	if err := d.free(id.Service, s); err != nil {
		return err
	}
	for _, r := range d.replicas {
		if r.Revision == id && r.State != rollout.ReplicaStopping {
			replicas--
		}
	}
	for _, a := range s.Addresses {
		if replicas <= 0 {
			return nil
		}
		if d.replicas[name(id, endpoint(a))] == nil {
			d.use(id, endpoint(a), s.Health)
			replicas--
		}
	}
	if replicas <= 0 {
		return nil
	}
	return fmt.Errorf("static: %w: %s has %d addresses", rollout.ErrInvalid, id, len(s.Addresses))
}

// Adopt implements rollout.Adopter, as Ensure: to use an address starts nothing.
func (d *Deployer) Adopt(ctx context.Context, id rollout.RevisionID, s rollout.Spec, replicas int) error {
	return d.Ensure(ctx, id, s, replicas)
}

// Observe implements rollout.Deployer: the order is that of the
// endpoints, and of the revisions of each.
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
	slices.SortFunc(all, func(a, b rollout.Replica) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.ID, b.ID))
	})
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
		if d.replicas[r.ID] == r {
			delete(d.replicas, r.ID)
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
