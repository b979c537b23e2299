package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// greeterID is the service that the server rolls.
var greeterID = rollout.ServiceID{Env: "demo", Name: "greeter"}

// greeter is that service. Its replicas are processes, and outlive the server.
// The zero greeter is that of a system where there are none.
type greeter struct {
	controller *rollout.Controller
	programs   *process.Deployer
	router     *traffic.Router
	log        *slog.Logger
}

// preview is a header that leads to what is being rolled, whatever its share.
var preview = []rollout.Match{{Header: "X-Preview", Value: "yes"}}

// openGreeter takes up the replicas that an earlier server has left.
func openGreeter(state string, db *sqlite.DB, log *slog.Logger) (*greeter, error) {
	programs, err := openPrograms(state, db, log)
	if errors.Is(err, errors.ErrUnsupported) {
		log.Warn("server: there is no service to roll", "err", err)
		return &greeter{}, nil
	}
	if err != nil {
		return nil, err
	}
	g := &greeter{programs: programs, router: traffic.New(traffic.Config{Stream: 3 * time.Second}), log: log}
	g.controller, err = rollout.New(rollout.Config{
		Store: db, Deployer: programs, Router: g.router, Logger: log, SleepAfter: 2 * time.Second,
		Strategy: rollout.Strategy{
			Steps: []rollout.Step{
				{Percent: 10, Hold: 5 * time.Second, Manual: true, Match: preview}, {Percent: 50, Hold: 2 * time.Second}, {Percent: 100, Hold: time.Second},
			},
			MinReady: time.Second, Deadline: 8 * time.Second, Tolerance: rollout.Tolerance{Requests: 20, Slow: -1}, // all is on this machine, however busy
		},
	})
	if err != nil {
		return nil, errors.Join(err, programs.Close())
	}
	return g, nil
}

// here is the machine, whatever its name will be: the folder of the state stays on it.
const here = "here"

func openPrograms(state string, db *sqlite.DB, log *slog.Logger) (*process.Deployer, error) {
	posts, err := filepath.Abs(filepath.Join(state, "posts"))
	if err != nil {
		return nil, err
	}
	return process.Open(process.Config{
		Dir: filepath.Join(state, "services"), Store: db, Host: here, Build: build, Logger: log,
		Environment: []string{"POSTS=" + posts},
	})
}

var greeterImages = regexp.MustCompile(`^greeter:\d+$`)

// build turns an image into this program with other arguments: all images are in it.
func build(_ context.Context, id rollout.RevisionID, s rollout.Spec, _ string) (command []string, err error) {
	if s.Image == nil || !greeterImages.MatchString(s.Image.URL) {
		return nil, errors.New("there is no such program here: image_url is greeter:1, greeter:2 and so on")
	}
	own, err := os.Executable()
	return []string{own, "greet", s.Image.URL, id.Version}, err
}

// live keeps the service as it should be until ctx ends. With none to begin with
// it begins the first version.
func (g *greeter) live(ctx context.Context, first bool) {
	if g.controller == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.controller.Run(ctx) // ends with ctx
	}()
	_, err := g.controller.Status(ctx, greeterID)
	if errors.Is(err, rollout.ErrNotFound) && first {
		_, err = g.controller.Start(ctx, rollout.Request{
			Service: greeterID, Version: "greeter-001", By: rollout.By{Actor: "server"},
			Spec:     rollout.Spec{Image: &rollout.Image{URL: "greeter:1"}, MinReplicas: new(2), MaxReplicas: new(4)},
			Strategy: &rollout.Strategy{Steps: []rollout.Step{{Percent: 100, Hold: -1}}, MinReady: time.Second},
		})
	}
	if err != nil && first && ctx.Err() == nil {
		g.log.Error("server: the greeter is not there", "err", err)
	}
	<-done
}

// Close leaves the replicas as they are, and the run that is under way, for the
// next server.
func (g *greeter) Close() error {
	if g.controller == nil {
		return nil
	}
	return errors.Join(g.controller.Close(), g.programs.Close())
}

// stopServices ends the replicas that servers of the folder have left. The next
// server begins them again.
func stopServices(ctx context.Context, state string, out io.Writer, log *slog.Logger) error {
	release, err := alone(ctx, state)
	if err != nil {
		return err
	}
	defer release()
	db, err := openDatabase(state)
	if err != nil {
		return err
	}
	defer db.Close()
	programs, err := openPrograms(state, db, log)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // there are none
	}
	if err != nil {
		return err
	}
	defer programs.Close()
	ended := 0
	for i, err := range db.Instances(here).List(ctx) {
		if err == nil {
			err = programs.Stop(ctx, i.Revision, []string{i.ID}, 10*time.Second)
		}
		if err != nil {
			return err
		}
		ended++
	}
	fmt.Fprintf(out, "ended %d replicas\n", ended)
	return nil
}
