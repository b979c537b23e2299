package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// greeterID is the service that the server rolls.
var greeterID = rollout.ServiceID{Env: "demo", Name: "greeter"}

// greeter is a service of which only the machines are simulated: its replicas
// come and go with those of a cluster in memory, and answer from this process.
type greeter struct {
	controller *rollout.Controller
	router     *traffic.Router
	cluster    *memory.Deployer
	records    rollout.RunStore
	exchange   exchange
	server     *http.Server
	answered   sync.Map // *atomic.Int64 by run: the answers of each revision
	log        *slog.Logger
}

// preview is a header that leads to what is being rolled, whatever its share.
var preview = []rollout.Match{{Header: "X-Preview", Value: "yes"}}

func openGreeter(store rollout.Store, log *slog.Logger) (*greeter, error) {
	g := &greeter{
		cluster: memory.New().Deployer(memory.Cluster{StartUp: time.Second}), records: store.Rollouts(),
		exchange: exchange{calls: make(chan net.Conn), closed: make(chan struct{})}, log: log,
	}
	g.router = traffic.New(traffic.Config{Transport: &http.Transport{DialContext: g.exchange.dial}})
	g.server = &http.Server{
		Handler: http.HandlerFunc(g.answer), ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, replicaKey{}, c.(line).to)
		},
	}
	var err error
	g.controller, err = rollout.New(rollout.Config{
		Store: store, Deployer: g.cluster, Router: g.router, Logger: log,
		Strategy: rollout.Strategy{
			Steps: []rollout.Step{
				{Percent: 10, Hold: 2 * time.Second, Manual: true, Match: preview}, {Percent: 50, Hold: 2 * time.Second}, {Percent: 100, Hold: time.Second},
			},
			MinReady: time.Second, Tolerance: rollout.Tolerance{Requests: 5, Slow: 1000}, // who answers is this process, however busy
		},
	})
	return g, err
}

// live serves the replicas and keeps the service as it should be until ctx ends.
func (g *greeter) live(ctx context.Context) {
	go func() {
		<-ctx.Done()
		g.server.Close()
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.controller.Run(ctx) // ends with ctx
	}()
	_, err := g.controller.Status(ctx, greeterID)
	if errors.Is(err, rollout.ErrNotFound) {
		_, err = g.controller.Start(ctx, rollout.Request{
			Service: greeterID, Version: "greeter-001", By: rollout.By{Actor: "server"},
			Spec:     rollout.Spec{Image: &rollout.Image{URL: "greeter:1"}, MinReplicas: new(2), MaxReplicas: new(4)},
			Strategy: &rollout.Strategy{Steps: []rollout.Step{{Percent: 100, Hold: -1}}, MinReady: time.Second},
		})
	}
	if err != nil && ctx.Err() == nil {
		g.log.Error("server: the greeter is not there", "err", err)
	}
	_ = g.server.Serve(g.exchange) // until it is closed
	<-done
}

// Close leaves the run that is under way for the next server.
func (g *greeter) Close() { g.controller.Close() }

// answer is what a replica says: its version, its image and a greeting. So many
// of a hundred answers of a revision as FAIL in its environment says are errors.
func (g *greeter) answer(w http.ResponseWriter, r *http.Request) {
	name, _ := r.Context().Value(replicaKey{}).(string)
	replica, spec, err := g.find(r.Context(), name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answered, _ := g.answered.LoadOrStore(replica.Revision.Run, new(atomic.Int64))
	if fails, _ := strconv.Atoi(spec.Environment["FAIL"]); int(answered.(*atomic.Int64).Add(1)-1)%100 < fails {
		http.Error(w, replica.Revision.Version+" fails", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, replica.Revision.Version, spec.Image.URL, cmp.Or(spec.Environment["GREETING"], "hello"))
}

// find returns the replica that answers at an address, and what it runs.
func (g *greeter) find(ctx context.Context, address string) (rollout.Replica, rollout.Spec, error) {
	replicas, err := g.cluster.Observe(ctx, greeterID)
	if err != nil {
		return rollout.Replica{}, rollout.Spec{}, err
	}
	service, err := g.records.Service(ctx, greeterID)
	if err != nil {
		return rollout.Replica{}, rollout.Spec{}, err
	}
	for _, r := range replicas {
		for _, rev := range service.Revisions {
			if r.Endpoint == "http://"+address && rev.ID == r.Revision {
				return r, rev.Spec, nil
			}
		}
	}
	return rollout.Replica{}, rollout.Spec{}, fmt.Errorf("nobody is at %q", address)
}

// exchange connects the router with the replicas, within this process.
type exchange struct {
	calls  chan net.Conn
	closed chan struct{}
}

// line is a connection to an address.
type line struct {
	net.Conn
	to string
}

type replicaKey struct{}

func (l exchange) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	mine, theirs := net.Pipe()
	select {
	case l.calls <- line{theirs, host}:
		return mine, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l exchange) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The server closes it once.
func (l exchange) Close() error {
	close(l.closed)
	return nil
}

// Addr implements net.Listener.
func (exchange) Addr() net.Addr { return &net.UnixAddr{Name: "greeter", Net: "pipe"} }
