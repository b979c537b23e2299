package rollout_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// stuck is a function of the application that does not return before it is let
// go, whatever its context says.
type stuck struct {
	once   sync.Once
	goes   chan struct{}
	called atomic.Int64
}

func newStuck() *stuck { return &stuck{goes: make(chan struct{})} }

func (s *stuck) call() {
	s.called.Add(1)
	<-s.goes
}

func (s *stuck) release() { s.once.Do(func() { close(s.goes) }) }

// strangers are the functions that a run of v2 can get stuck in, and when that
// is noticed.
var strangers = map[string]struct {
	config func(config *rollout.Config, call func())
	state  rollout.State
	reason string
	after  time.Duration
}{
	"the Gate": {func(config *rollout.Config, call func()) {
		config.Gate = func(context.Context, rollout.Run) error { call(); return nil }
	}, rollout.StatePaused, "the Gate does not answer: it has not returned within 30s", 30 * time.Second},
	"an analysis": {func(config *rollout.Config, call func()) {
		config.Analyses = []rollout.Analysis{{Name: "judge", Measure: func(context.Context, rollout.Scope) (rollout.Measurement, error) {
			call()
			return rollout.Measurement{Verdict: rollout.VerdictPass}, nil
		}}}
	}, rollout.StatePaused, `analysis "judge": it has not returned since it was last asked`, time.Minute},
	"a hook before": {func(config *rollout.Config, call func()) {
		config.Before = []rollout.Hook{{Name: "migrate", Do: func(context.Context, rollout.Run) error { call(); return nil }, Timeout: time.Minute}}
	}, rollout.StateRolledBack, `hook "migrate": it has not returned within 1m0s`, time.Minute},
	"a hook after a step": {func(config *rollout.Config, call func()) {
		config.AfterStep = []rollout.Hook{{Name: "look", Do: func(context.Context, rollout.Run) error { call(); return nil }, Timeout: time.Minute}}
	}, rollout.StateRolledBack, `hook "look": it has not returned within 1m0s`, time.Minute},
	"a hook after all": {func(config *rollout.Config, call func()) {
		config.After = []rollout.Hook{{Name: "tell", Do: func(context.Context, rollout.Run) error { call(); return nil }, Timeout: time.Minute}}
	}, rollout.StateSucceeded, "", time.Minute},
}

// second has a Controller of which a run of v2 gets stuck, once it has, and
// returns the run.
func (s *stuck) second(w *world, name string) (*rollout.Controller, rollout.Run) {
	w.rolls(w.controller(), request("v1"))
	w.router.asks(100, 0)
	c := w.controller(func(config *rollout.Config) { strangers[name].config(config, s.call) })
	w.t.Cleanup(s.release)
	run, err := c.Start(w.t.Context(), request("v2"))
	require.NoError(w.t, err)
	w.until("it is stuck", func() bool { return s.called.Load() > 0 })
	return c, run
}

func TestAFunctionThatDoesNotReturnStopsNoRun(t *testing.T) {
	t.Parallel()
	for name, tt := range strangers {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				s := newStuck()
				c, run := s.second(w, name)
				run = w.state(c, run.ID, tt.state)
				require.Equal(t, tt.reason, run.Reason)
				require.Equal(t, int64(1), s.called.Load(), "it is not called again before it returns")
				if tt.state != rollout.StatePaused {
					return
				}
				time.Sleep(5 * time.Minute)
				s.release()
				if name == "the Gate" {
					_, err := c.Wait(t.Context(), run.ID)
					require.NoError(t, err, "it is asked again then")
					return
				}
				require.NoError(t, c.Resume(t.Context(), run.ID, run.Step, ann))
				_, err := c.Wait(t.Context(), run.ID)
				require.NoError(t, err)
			})
		})
	}
}

func TestAFunctionThatDoesNotReturnKeepsNobodyFromEnding(t *testing.T) {
	t.Parallel()
	for name := range strangers {
		for what, end := range map[string]func(t *testing.T, c *rollout.Controller, run rollout.Run){
			"the run": func(t *testing.T, c *rollout.Controller, run rollout.Run) {
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
				_, err := c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
			},
			"the Controller": func(t *testing.T, c *rollout.Controller, _ rollout.Run) { require.NoError(t, c.Close()) },
			"it in time": func(t *testing.T, c *rollout.Controller, _ rollout.Run) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.ErrorIs(t, c.Shutdown(ctx), context.DeadlineExceeded)
			},
		} {
			t.Run(name+" ends "+what, func(t *testing.T) {
				passes(t, func(t *testing.T, w *world) {
					s := newStuck()
					c, run := s.second(w, name)
					begun := time.Now()
					end(t, c, run)
					require.Less(t, time.Since(begun), 20*time.Second)
					s.release()
					require.NoError(t, c.Shutdown(t.Context()), "which waits for it")
				})
			})
		}
	}
}

func TestAServiceIsLookedAfterWhileAFunctionTakesItsTime(t *testing.T) {
	t.Parallel()
	for name := range strangers {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				s := newStuck()
				c, _ := s.second(w, name)
				time.Sleep(5 * time.Second)
				before := w.router.table(web)
				for version, all := range map[string]int{"v1": 1, "v2": 1} {
					if ready, _ := w.fleet.count(version); ready == all {
						w.fleet.kill(version, 1)
					}
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				table := w.router.table(web)
				require.Greater(t, table.Generation, before.Generation, "the Router is told")
				require.Len(t, table.Endpoints, len(before.Endpoints), "and of what takes its place")
				require.NotEqual(t, before.Endpoints, table.Endpoints)
				s.release()
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestAMeasurementOfOtherTrafficIsLeftAlone(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		s := newStuck()
		c, run := s.second(w, "an analysis")
		for range 5 { // the shares change, and change back
			w.fleet.kill("v1", 1)
			time.Sleep(5 * time.Second)
		}
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		_, err := c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
	})
}

func TestWhoDecidesWaitsForNoGate(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		s := newStuck()
		c, run := s.second(w, "the Gate")
		begun := time.Now()
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		w.state(c, run.ID, rollout.StateHealthWait)
		require.Less(t, time.Since(begun), 7*time.Second)
		_, err := c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestShutdownWaitsForAHookAsLongAsItCan(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.rolls(w.controller(), request("v1"))
		var ended atomic.Bool
		c := w.controller(func(config *rollout.Config) {
			config.Before = []rollout.Hook{{Name: "migrate", Do: func(ctx context.Context, _ rollout.Run) error {
				err := sleep(ctx, 2*time.Minute)
				ended.Store(err == nil)
				return err
			}}}
		})
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, c.Shutdown(t.Context()))
		require.True(t, ended.Load())
		next := w.controller()
		w.tend(next)
		_, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestAServiceIsLookedAfterWhileRequestsEnd(t *testing.T) {
	t.Parallel()
	for name, drains := range map[string]func(t *testing.T, w *world, c *rollout.Controller){
		"of what a run has replaced": func(t *testing.T, w *world, c *rollout.Controller) {
			w.router.open["http://v1-1"] = true
			r := request("v2")
			r.Strategy = &rollout.Strategy{DrainTimeout: time.Hour, Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
			run, err := c.Start(t.Context(), r)
			require.NoError(t, err)
			w.state(c, run.ID, rollout.StateDraining)
		},
		"of what is kept no longer": func(t *testing.T, w *world, c *rollout.Controller) {
			w.rolls(c, request("v2"))
			w.tend(c)
			w.router.mu.Lock()
			w.router.open["http://v1-1"] = true
			w.router.mu.Unlock()
			time.Sleep(10*time.Minute - 2*time.Second) // less than a minute before
			w.until("it is to go", func() bool {
				svc, err := w.db.Rollouts().Service(t.Context(), web)
				return err == nil && svc.KeptUntil.IsZero()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				drains(t, w, c)
				time.Sleep(5 * time.Second)
				w.fleet.kill("v2", 1)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				_, old := w.fleet.count("v1")
				require.Equal(t, 1, old, "its requests have not ended")
				ready, _ := w.fleet.count("v2")
				require.Equal(t, 1, ready)
				require.NoError(t, c.Close())
			})
		})
	}
}
