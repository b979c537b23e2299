package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage/memory"
)

var (
	web = rollout.ServiceID{Name: "web"}
	ann = rollout.By{Actor: "ann", Reason: "because"}
)

// world is where services run, with the store that knows of them.
type world struct {
	t      testing.TB
	db     *memory.DB
	fleet  *fleet
	router *splitter
	floor  int // ready replicas with traffic, once there have been as many
	high   bool
	wrong  []string
	mu     sync.Mutex
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, db: memory.New(), fleet: newFleet(), router: newSplitter()}
	w.router.setting = w.look
	w.fleet.stopping = func(_ rollout.RevisionID, ids []string) {
		for _, in := range w.router.table(web).Endpoints {
			for _, id := range ids {
				if slices.Contains(in, "http://"+id) {
					w.fails("%s is stopped, and in the table", id)
				}
			}
		}
	}
	return w
}

func (w *world) fails(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// look looks at a table that is set: what a Router would refuse, it has refused.
func (w *world) look(t rollout.Table) {
	capacity, any := 0, false
	for _, weight := range t.Split.Weights {
		n := len(t.Endpoints[weight.Run])
		any = any || weight.Percent > 0 && n > 0
		if weight.Percent > 0 {
			capacity += n
		}
	}
	for _, weight := range t.Split.Weights {
		if any && weight.Percent > 0 && len(t.Endpoints[weight.Run]) == 0 {
			w.fails("%s has %d percent and nothing ready", weight.Version, weight.Percent)
		}
	}
	w.mu.Lock()
	w.high = w.high || capacity >= w.floor
	fallen := w.high && capacity < w.floor
	w.mu.Unlock()
	if fallen {
		w.fails("%d replicas have traffic, not %d", capacity, w.floor)
	}
}

// holds checks that all has held at every moment.
func (w *world) holds() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(w.t, w.wrong)
}

// controller returns one that ends with the test.
func (w *world) controller(change ...func(*rollout.Config)) *rollout.Controller {
	w.t.Helper()
	config := rollout.Config{Store: w.db, Deployer: w.fleet, Router: w.router, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&config)
	}
	c, err := rollout.New(config)
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		_ = c.Close()
		_ = c.Shutdown(context.Background()) // which waits for OnFinish
	})
	return c
}

// tend makes a Controller look after services until the test ends.
func (w *world) tend(c *rollout.Controller) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

func request(version string) rollout.Request {
	return rollout.Request{Service: web, Version: version, Spec: rollout.Spec{Command: []string{version}}, By: ann}
}

// rolls rolls, and expects success.
func (w *world) rolls(c *rollout.Controller, r rollout.Request) rollout.Run {
	w.t.Helper()
	run, err := c.Roll(context.Background(), r)
	require.NoError(w.t, err)
	synctest.Wait() // what nobody waits for
	return run
}

// passes runs f in a bubble of faked time.
func passes(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w)
		w.holds()
	})
}

// until waits until ok, at most a day.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for begun := time.Now(); !ok(); {
		require.Less(w.t, time.Since(begun), 24*time.Hour, what)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
	}
}

// state waits for a state of a run.
func (w *world) state(c *rollout.Controller, id string, s rollout.State) rollout.Run {
	w.t.Helper()
	var run rollout.Run
	w.until(string(s), func() bool {
		var err error
		run, err = c.Get(context.Background(), id)
		return err == nil && run.State == s
	})
	return run
}

var errDown = errors.New("down")

func states(run rollout.Run) []rollout.State {
	var all []rollout.State
	for _, s := range run.States {
		all = append(all, s.State)
	}
	return all
}

// gate is one that is shut as long as there is a reason.
type gate struct {
	mu     sync.Mutex
	reason string
	asked  int
}

func (g *gate) ask(context.Context, rollout.Run) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason == "" {
		return nil
	}
	g.asked++
	return errors.New(g.reason)
}

func (g *gate) shut(reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reason = reason
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}
