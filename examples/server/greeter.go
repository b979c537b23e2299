package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// greeterID is the service that the server rolls.
var greeterID = rollout.ServiceID{Env: "demo", Name: "greeter"}

// greeter is a service of which only the machines are simulated: its replicas
// listen on ports of this process.
type greeter struct {
	controller *rollout.Controller
	router     *traffic.Router
	machines   *machines
	log        *slog.Logger
}

// preview is a header that leads to what is being rolled, whatever its share.
var preview = []rollout.Match{{Header: "X-Preview", Value: "yes"}}

func openGreeter(store rollout.Store, log *slog.Logger) (*greeter, error) {
	g := &greeter{
		router: traffic.New(traffic.Config{}), machines: newMachines(memory.Cluster{StartUp: time.Second}), log: log,
	}
	var err error
	g.controller, err = rollout.New(rollout.Config{
		Store: store, Deployer: g.machines, Router: g.router, Logger: log,
		Strategy: rollout.Strategy{
			Steps: []rollout.Step{
				{Percent: 10, Hold: 5 * time.Second, Manual: true, Match: preview}, {Percent: 50, Hold: 2 * time.Second}, {Percent: 100, Hold: time.Second},
			},
			MinReady: time.Second, Tolerance: rollout.Tolerance{Requests: 20, Slow: 1000}, // who answers is this process, however busy
		},
	})
	return g, err
}

// live keeps the service as it should be until ctx ends.
func (g *greeter) live(ctx context.Context) {
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
	<-done
}

// Close stops the replicas, after the last request, and leaves the run that is
// under way for the next server.
func (g *greeter) Close() {
	g.controller.Close()
	g.machines.Close()
}
