package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// fleet is a Deployer whose replicas are ready at once, and answer nothing.
type fleet struct {
	mu       sync.Mutex
	replicas []rollout.Replica
	made     int
	heard    map[chan struct{}]bool
	// check is what Check returns. Default: nothing.
	check func(rollout.Spec) ([]string, error)
	// ensure is what Ensure returns. Default: nil.
	ensure func(rollout.RevisionID) error
	output string // of every revision
}

var _ rollout.Deployer = (*fleet)(nil)

func (f *fleet) Check(_ context.Context, _ rollout.RevisionID, s rollout.Spec) ([]string, error) {
	if f.check == nil {
		return nil, nil
	}
	return f.check(s)
}

func (f *fleet) Ensure(_ context.Context, id rollout.RevisionID, _ rollout.Spec, n int) error {
	if f.ensure != nil {
		if err := f.ensure(id); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if r.Revision == id {
			n--
		}
	}
	for range n {
		f.made++
		f.replicas = append(f.replicas, rollout.Replica{
			ID: fmt.Sprint("replica-", f.made), Revision: id, Endpoint: fmt.Sprintf("http://127.0.0.1:%d", 20_000+f.made),
			State: rollout.ReplicaReady, StartedAt: time.Now().UTC(),
		})
	}
	f.tell()
	return nil
}

// tell must be called with the mutex held.
func (f *fleet) tell() {
	for c := range f.heard {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (f *fleet) Observe(_ context.Context, s rollout.ServiceID) (all []rollout.Replica, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if r.Revision.Service == s {
			all = append(all, r)
		}
	}
	return all, nil
}

func (f *fleet) Stop(_ context.Context, _ rollout.RevisionID, ids []string, _ time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.replicas[:0]
	for _, r := range f.replicas {
		if !strings.Contains(" "+strings.Join(ids, " ")+" ", " "+r.ID+" ") {
			kept = append(kept, r)
		}
	}
	f.replicas = kept
	f.tell()
	return nil
}

func (f *fleet) Logs(context.Context, rollout.RevisionID, rollout.LogQuery) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(f.output)), nil
}

func (f *fleet) Changed(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard == nil {
		f.heard = map[chan struct{}]bool{}
	}
	f.heard[c] = true
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.heard, c)
		close(c)
	})
	return c
}

// port serves services that are rolled over an engine.
type port struct {
	*rollout.Controller
	fleet *fleet
	ids   []string // of the next runs
	mu    sync.Mutex
	made  int
}

// quickly is a Strategy that looks at half of the share for a second.
var quickly = rollout.Strategy{
	Steps: []rollout.Step{{Percent: 50, Hold: time.Second}, {Percent: 100, Hold: -1}}, Tolerance: rollout.Tolerance{Off: true},
}

// newPort is closed with the test.
func newPort(t testing.TB, db rollout.Store, configure func(*rollout.Config)) *port {
	p := &port{fleet: &fleet{output: "replica-1 hello\n"}}
	c := rollout.Config{
		Store: db, Deployer: p.fleet, Router: traffic.New(traffic.Config{}), Strategy: quickly, NewID: p.newID, Logger: quiet,
	}
	if configure != nil {
		configure(&c)
	}
	var err error
	p.Controller, err = rollout.New(c)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		require.NoError(t, p.Shutdown(context.Background()), "which waits for what is told of runs too")
	})
	return p
}

func (p *port) newID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ids) > 0 {
		id := p.ids[0]
		p.ids = p.ids[1:]
		return id
	}
	p.made++
	return fmt.Sprintf("run-%d", p.made)
}

// roll rolls, and waits for the end.
func (p *port) roll(t testing.TB, r rollout.Request) rollout.Run {
	run, err := p.Roll(context.Background(), r)
	require.NoError(t, err)
	return run
}

// finished waits for the end of a run, and returns what the service is then.
func (p *port) finished(ctx context.Context, id string) (rollout.Run, rollout.Service, error) {
	run, err := p.Wait(ctx, id)
	if err != nil {
		return run, rollout.Service{}, err
	}
	st, err := p.Status(ctx, run.Service)
	if err == nil && st.Run != nil {
		err = errors.New("a run goes on")
	}
	return run, st.Service, err
}

// imaged is the content of the document's example, or nearly.
func imaged() rollout.Spec {
	return rollout.Spec{Image: &rollout.Image{Repository: "web/ss", Tag: "1"}}
}

// hasRolled records a service nobody in test, with two runs.
func (s *site) hasRolled(t testing.TB) {
	id := rollout.ServiceID{Env: "test", Name: "nobody"}
	s.port.made = 1 // further runs have other names
	least, most, out, path := 0, 1, "stdout", "/"
	spec := rollout.Spec{
		Source: &rollout.Source{URL: "https://example.invalid/a"}, MinReplicas: &least, MaxReplicas: &most, Logs: &out, Path: &path,
		Health: &rollout.Health{Path: "/", Interval: time.Second, Timeout: time.Second},
	}
	svc := rollout.Service{ID: id, Path: path}
	var from rollout.RevisionID
	for _, run := range []string{"run-0", "run-1"} {
		to := rollout.RevisionID{Service: id, Version: "v1", Run: run}
		svc.Revisions = []rollout.Revision{{ID: to, Spec: spec}}
		svc.Split = rollout.Split{Weights: []rollout.Weight{{Version: "v1", Run: run, Percent: 100}}}
		svc.Stable = to
		svc.Generation++
		done, err := s.db.Rollouts().Create(context.Background(), rollout.Transition{Service: &svc, Run: &rollout.Run{
			ID: run, Service: id, From: from, Revision: to, State: rollout.StateSucceeded, Before: svc.Split, Split: svc.Split,
			Spec: spec, Was: spec, Request: rollout.Request{Service: id, Restart: true},
		}})
		require.NoError(t, err)
		svc, from = *done.Service, to
	}
}

// rolledBody is a documented body for it.
const rolledBody = `{"env_id":"test","server_name":"nobody","version_name":"v1","upload_type":"repository"}`

// rolledEvents makes n events of a run that goes on for ever.
func (s *site) rolledEvents(t testing.TB, n int, text string) {
	store, id := s.db.Rollouts(), "talks"
	run, err := store.Get(context.Background(), id)
	if errors.Is(err, rollout.ErrNotFound) {
		run = rollout.Run{ID: id, Service: rollout.ServiceID{Name: id}, State: rollout.StateShifting}
		made, failed := store.Create(context.Background(), rollout.Transition{Run: &run})
		require.NoError(t, failed)
		run, err = *made.Run, nil
	}
	require.NoError(t, err)
	said := rollout.Event{Run: id, Service: run.Service, Kind: rollout.EventProgress, State: run.State, Message: text}
	_, err = store.Save(context.Background(), rollout.Transition{Run: &run, Events: slices.Repeat([]rollout.Event{said}, n)})
	require.NoError(t, err)
}
