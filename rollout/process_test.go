package rollout_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
)

var errDead = errors.New("the process is dead")

// process is one that dies, or whose call fails, at a call that is chosen.
type process struct {
	mu    sync.Mutex
	calls []string // that had an effect, in order
	at    int      // the call at which it happens; -1: never
	after bool     // the call has its effect
	fails error    // of that call alone, in place of death
	dead  bool
}

// do makes a call of the process.
func (p *process) do(name string, call func() error) error {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return errDead
	}
	n := len(p.calls)
	p.calls = append(p.calls, name)
	hit := n == p.at
	after, fails := p.after, p.fails
	if hit && fails == nil {
		p.dead = true
	}
	p.mu.Unlock()
	if !hit {
		return call()
	}
	if after {
		_ = call()
	}
	if fails != nil {
		return fails
	}
	return errDead
}

// made are the calls that had an effect, once none is under way.
func (p *process) made() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

func (p *process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// kill ends the process now.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

type storeOf struct {
	rollout.RunStore
	p *process
}

func (s storeOf) Create(ctx context.Context, t rollout.Transition) (out rollout.Transition, err error) {
	e := s.p.do("Create", func() error { out, err = s.RunStore.Create(ctx, t); return nil })
	return out, errors.Join(e, err)
}

func (s storeOf) Save(ctx context.Context, t rollout.Transition) (out rollout.Transition, err error) {
	name := "Save"
	if t.Run != nil {
		name += " " + string(t.Run.State)
	}
	e := s.p.do(name, func() error { out, err = s.RunStore.Save(ctx, t); return nil })
	return out, errors.Join(e, err)
}

func (s storeOf) Get(ctx context.Context, id string) (rollout.Run, error) {
	if s.p.ended() {
		return rollout.Run{}, errDead
	}
	return s.RunStore.Get(ctx, id)
}

func (s storeOf) Service(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
	if s.p.ended() {
		return rollout.Service{}, errDead
	}
	return s.RunStore.Service(ctx, id)
}

func (s storeOf) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return s.RunStore.Watch(ctx, after)
}

type lockerOf struct {
	lease.Locker
	p *process
}

func (l lockerOf) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	if l.p.ended() {
		return lease.Lease{}, errDead
	}
	return l.Locker.Acquire(ctx, item, owner, ttl)
}

func (l lockerOf) Renew(ctx context.Context, held lease.Lease, ttl time.Duration) (lease.Lease, error) {
	if l.p.ended() {
		return lease.Lease{}, errDead
	}
	return l.Locker.Renew(ctx, held, ttl)
}

func (l lockerOf) Release(ctx context.Context, held lease.Lease) error {
	if l.p.ended() {
		return errDead
	}
	return l.Locker.Release(ctx, held)
}

type deployerOf struct {
	*fleet
	p *process
}

func (d deployerOf) Ensure(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
	return d.p.do("Ensure", func() error { return d.fleet.Ensure(ctx, id, s, n) })
}

func (d deployerOf) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	if d.p.ended() {
		return nil, errDead
	}
	return d.fleet.Observe(ctx, s)
}

func (d deployerOf) Stop(ctx context.Context, id rollout.RevisionID, ids []string, grace time.Duration) error {
	return d.p.do("Stop", func() error { return d.fleet.Stop(ctx, id, ids, grace) })
}

func (d deployerOf) Logs(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error) {
	return d.fleet.Logs(ctx, id, q)
}

type routerOf struct {
	*splitter
	p *process
}

func (r routerOf) Set(ctx context.Context, s rollout.ServiceID, t rollout.Table) error {
	return r.p.do("Set", func() error { return r.splitter.Set(ctx, s, t) })
}

func (r routerOf) Drain(ctx context.Context, s rollout.ServiceID, endpoints ...string) error {
	return r.p.do("Drain", func() error { return r.splitter.Drain(ctx, s, endpoints...) })
}

// within makes a Config that of a process, with a Router of its own.
func (w *world) within(p *process, router *splitter) func(*rollout.Config) {
	router.setting = w.look
	return func(config *rollout.Config) {
		config.Locker, config.RunStore = lockerOf{w.db.Locker(), p}, storeOf{w.db.Rollouts(), p}
		config.Deployer, config.Router = deployerOf{w.fleet, p}, routerOf{router, p}
		config.Logger = slog.New(slog.DiscardHandler)
	}
}

// scripts are runs of which every call is a point to die at.
var scripts = map[string]struct {
	request rollout.Request
	prepare func(w *world)
	act     func(t *testing.T, w *world, c *rollout.Controller, run rollout.Run)
	state   rollout.State
	shares  string
	counts  map[string]int
}{
	"a good one": {
		request: steps("v2", 4, 25, 100), state: rollout.StateSucceeded, shares: "v2 100",
		counts: map[string]int{"v1": 0, "v2": 4},
	},
	"a bad one": {
		request: steps("v2", 4, 50, 100), state: rollout.StateRolledBack, shares: "v1 100",
		prepare: func(w *world) {
			w.fleet.made = 100 // nothing has the name of one before
			w.fleet.startUp = time.Second
			w.fleet.refuses = func(id rollout.RevisionID) error {
				if w.fleet.made > 101 && id.Version == "v2" {
					return errors.Join(rollout.ErrInvalid, errors.New("no room"))
				}
				return nil
			}
		},
		counts: map[string]int{"v1": 4, "v2": 0},
	},
}

func steps(version string, replicas int, percents ...int) rollout.Request {
	r := request(version)
	r.Spec.MinReplicas = &replicas
	r.Strategy = &rollout.Strategy{KeepOld: -1, Tolerance: rollout.Tolerance{Off: true}}
	for _, p := range percents {
		r.Strategy.Steps = append(r.Strategy.Steps, rollout.Step{Percent: p, Hold: time.Second})
	}
	return r
}

func TestAProcessMayDieAtEveryCallAndTheNextTakesUp(t *testing.T) {
	t.Parallel()
	for name, script := range scripts {
		for _, after := range []bool{false, true} {
			calls := 1
			for at := -1; at < calls; at++ { // the first time it lives, and all calls are counted
				passes(t, func(t *testing.T, w *world) {
					w.floor = 4
					first := w.controller()
					w.rolls(first, steps("v1", 4, 100))
					require.NoError(t, first.Close())
					if script.prepare != nil {
						script.prepare(w)
					}
					p := &process{at: at, after: after}
					told := map[string]int{}
					note := func(config *rollout.Config) { config.OnFinish = func(run rollout.Run) { told[run.ID]++ } }
					c := w.controller(w.within(p, w.router), note)
					run, err := c.Start(t.Context(), script.request)
					if err == nil {
						w.until("death or end", func() bool {
							run, err = w.db.Rollouts().Get(t.Context(), run.ID)
							return p.ended() || err == nil && run.State.Done()
						})
					}
					require.NoError(t, c.Close())
					calls = max(calls, len(p.made()))

					router := newSplitter()
					w.router = router
					next := w.controller(w.within(&process{at: -1}, router), note)
					w.tend(next)
					time.Sleep(time.Second)
					answersAsRecorded(t, w, router)
					for live := range w.db.Rollouts().History(t.Context(), rollout.Query{Service: web}) {
						run = live
						break
					}
					if run.Revision.Version == "v1" || run.ID == "" { // it died before the run was written
						run, err = next.Start(t.Context(), script.request)
						require.NoError(t, err)
					}
					run, _ = next.Wait(t.Context(), run.ID)
					where := []any{"%s dies at call %d (after it: %t): %v", name, at, after, p.made()}
					require.Equal(t, script.state, run.State, where...)
					require.Equal(t, script.shares, shares(run.Split), where...)
					time.Sleep(time.Minute)
					require.Equal(t, script.shares, shares(router.table(web).Split), where...)
					for version, n := range script.counts {
						_, all := w.fleet.count(version)
						require.Equal(t, n, all, where...)
					}
					require.NotZero(t, told[run.ID], where...)
					w.holds()
				})
			}
			require.Greater(t, calls, 20, "there is something to die at")
		}
	}
}

// answersAsRecorded checks that a Router splits requests as the record says, and
// knows whom to send them to.
func answersAsRecorded(t *testing.T, w *world, router *splitter) {
	synctest.Wait()
	svc, err := w.db.Rollouts().Service(t.Context(), web)
	require.NoError(t, err)
	table := router.table(web)
	require.Equal(t, shares(svc.Split), shares(table.Split))
	require.Equal(t, svc.Generation, table.Generation)
	for _, weight := range table.Split.Weights {
		require.Equal(t, weight.Percent > 0, len(table.Endpoints[weight.Run]) > 0 && weight.Percent > 0, weight.Version)
	}
}

func TestOneErrorOfTheStoreIsNothing(t *testing.T) {
	t.Parallel()
	for name, script := range scripts {
		for kind, after := range map[error]bool{errDown: true, rollout.ErrStale: false} {
			calls := 1
			for at := 0; at < calls; at++ {
				passes(t, func(t *testing.T, w *world) {
					w.floor = 4
					first := w.controller()
					w.rolls(first, steps("v1", 4, 100))
					require.NoError(t, first.Close())
					if script.prepare != nil {
						script.prepare(w)
					}
					p := &process{at: at, after: after, fails: kind}
					c := w.controller(w.within(p, w.router))
					run, err := c.Start(t.Context(), script.request)
					where := []any{"%s fails at call %d with %v (after it: %t): %v", name, at, kind, after, p.made()}
					if err == nil {
						run, _ = c.Wait(t.Context(), run.ID)
						require.Equal(t, script.state, run.State, where...)
						require.Equal(t, script.shares, shares(run.Split), where...)
					} else {
						require.Zero(t, at, where...)
					}
					calls = max(calls, len(p.made()))
					w.holds()
				})
			}
		}
	}
}
