package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// machines runs replicas: those of a simulated cluster, each with an HTTP server
// of its own at a loopback port, which any client can ask.
type machines struct {
	*memory.Deployer

	mu      sync.Mutex
	running map[string]*replica // by the ID of the cluster
	closed  bool
}

var _ rollout.Deployer = (*machines)(nil)

func newMachines(c memory.Cluster) *machines {
	return &machines{Deployer: memory.New().Deployer(c), running: map[string]*replica{}}
}

// Check implements rollout.Deployer: a replica runs an image, and nothing else.
func (m *machines) Check(ctx context.Context, id rollout.RevisionID, s rollout.Spec) (notEnforced []string, err error) {
	if _, err := newReplica(id, s); err != nil {
		return nil, err
	}
	return m.Deployer.Check(ctx, id, s)
}

// Ensure implements rollout.Deployer: what the cluster has added listens.
func (m *machines) Ensure(ctx context.Context, id rollout.RevisionID, s rollout.Spec, replicas int) error {
	if err := m.Deployer.Ensure(ctx, id, s, replicas); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	all, err := m.Deployer.Observe(ctx, id.Service) // with the mutex held: what Stop has taken away is not begun again
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Revision != id || m.running[r.ID] != nil {
			continue
		}
		one, err := newReplica(id, s)
		if err == nil {
			err = one.listen()
		}
		if err != nil {
			return errors.Join(err, m.Deployer.Kill(r.ID)) // so that it is missing, and added again
		}
		m.running[r.ID] = one
	}
	return nil
}

// Observe implements rollout.Deployer. What does not listen yet is starting.
func (m *machines) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	all, err := m.Deployer.Observe(ctx, s)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range all {
		if one := m.running[all[i].ID]; one != nil {
			all[i].Endpoint = "http://" + one.address
		} else if all[i].State == rollout.ReplicaReady {
			all[i].State = rollout.ReplicaStarting
		}
	}
	return all, err
}

// Stop implements rollout.Deployer. The requests of a replica have grace to end.
func (m *machines) Stop(ctx context.Context, id rollout.RevisionID, replicas []string, grace time.Duration) error {
	err := m.Deployer.Stop(ctx, id, replicas, grace)
	var gone []*replica
	m.mu.Lock()
	for _, name := range replicas {
		if one := m.running[name]; err == nil && one != nil && one.id == id {
			gone = append(gone, one)
			delete(m.running, name)
		}
	}
	m.mu.Unlock()
	stop(ctx, gone, grace)
	return err
}

// Close stops all replicas.
func (m *machines) Close() {
	m.mu.Lock()
	m.closed = true
	var all []*replica
	for _, one := range m.running {
		all = append(all, one)
	}
	clear(m.running)
	m.mu.Unlock()
	stop(context.Background(), all, 3*time.Second)
}

// stop waits for the end of replicas, for as long as grace and ctx last. Then it
// cuts off what they still do.
func stop(ctx context.Context, all []*replica, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var stopping sync.WaitGroup
	for _, one := range all {
		stopping.Go(func() { one.stop(ctx) })
	}
	stopping.Wait()
}

// replica is a program that greets: the simulation of one.
type replica struct {
	id       rollout.RevisionID
	greeting string
	fails    int64 // so many of a hundred answers are errors
	answered atomic.Int64

	address string
	server  *http.Server
	done    chan struct{} // closed when nothing accepts connections any more
}

// newReplica returns one that does not listen yet, or why it never will.
func newReplica(id rollout.RevisionID, s rollout.Spec) (*replica, error) {
	if s.Image == nil {
		return nil, fmt.Errorf("%w: a replica of the greeter runs an image", errors.ErrUnsupported)
	}
	fails, err := strconv.Atoi(cmp.Or(s.Environment["FAIL"], "0"))
	if err != nil || fails < 0 || fails > 100 {
		return nil, fmt.Errorf("%w: FAIL in the environment is no number from 0 to 100", rollout.ErrInvalid)
	}
	greeting := fmt.Sprintln(id.Version, s.Image.URL, cmp.Or(s.Environment["GREETING"], "hello"))
	return &replica{id: id, greeting: greeting, fails: int64(fails), done: make(chan struct{})}, nil
}

func (r *replica) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address, r.server = l.Addr().String(), newServer(r)
	go func() {
		defer close(r.done)
		_ = r.server.Serve(l) // until it is stopped
	}()
	return nil
}

func (r *replica) stop(ctx context.Context) {
	if r.server.Shutdown(ctx) != nil {
		r.server.Close()
	}
	<-r.done
}

// ServeHTTP says version, image and a greeting. The answers that are errors come
// at equal distances: at 5 of a hundred each 20th.
func (r *replica) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if n := r.answered.Add(1); n*r.fails/100 > (n-1)*r.fails/100 {
		http.Error(w, r.id.Version+" fails", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte(r.greeting))
}
