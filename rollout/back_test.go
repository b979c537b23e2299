package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestWhatNeverGetsReadyLeavesTheStableRevisionAlone(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 1
		c := w.controller()
		w.rolls(c, request("v1"))
		w.fleet.sick["v2"] = "GET /: 500"
		begun := time.Now()
		run, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Equal(t, rollout.StateRolledBack, run.State)
		require.Contains(t, run.Reason, "GET /: 500")
		require.InDelta(t, 600, time.Since(begun).Seconds(), 2, "the deadline")
		require.Equal(t, []string{"v1 100"}, w.router.moves())
		_, all := w.fleet.count("v2")
		require.Zero(t, all)
		status, err := c.Status(t.Context(), web)
		require.NoError(t, err)
		require.Len(t, status.Service.Revisions, 1)
		require.Len(t, status.Service.Split.Weights, 1)
	})
}

func TestWhatTheDeployerCannotRunFailsAtOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []error{rollout.ErrInvalid, errors.ErrUnsupported} {
		passes(t, func(t *testing.T, w *world) {
			w.fleet.refuses = func(rollout.RevisionID) error { return errors.Join(kind, errors.New("no such program")) }
			c := w.controller()
			begun := time.Now()
			run, err := c.Roll(t.Context(), request("v1"))
			require.ErrorIs(t, err, rollout.ErrFailed)
			require.Contains(t, run.Reason, "no such program")
			require.Less(t, time.Since(begun), 2*time.Second)
			_, err = c.Status(t.Context(), web)
			require.ErrorIs(t, err, rollout.ErrNotFound)
			w.fleet.refuses = nil
			w.rolls(c, request("v1"))
		})
	}
}

func TestWhatIsReadyAndThenFailsGoesBack(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(w *world){
		"it is dead": func(w *world) {
			w.fleet.sick["v2"] = "exit 1"
			w.fleet.change("v2", func(r *rollout.Replica) { r.State, r.Failure = rollout.ReplicaFailing, "exit 1" })
		},
		"it begins anew and anew": func(w *world) {
			w.fleet.change("v2", func(r *rollout.Replica) {
				r.State, r.Failure, r.Restarts = rollout.ReplicaStarting, "exit 1", 5
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				w.floor = 1
				c := w.controller()
				w.rolls(c, request("v1"))
				run, err := c.Start(t.Context(), request("v2"))
				require.NoError(t, err)
				w.state(c, run.ID, rollout.StateAnalysing)
				fails(w)
				synctest.Wait()
				require.Equal(t, "v1 100", shares(w.router.table(web).Split), "nobody waits for the verdict")
				run, err = c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrFailed)
				require.Contains(t, run.Reason, "exit 1")
				require.Equal(t, "v1 100", shares(run.Split))
			})
		})
	}
}

func TestMoreErrorsThanTheStableRevisionHasGoBackAtOnce(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.router.rate, w.router.bad = 100, map[string]float64{"v1": 0.01, "v2": 0.2}
		begun := time.Now()
		run, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Contains(t, run.Reason, "20.0 % of")
		require.Less(t, time.Since(begun), 30*time.Second)
		require.Equal(t, []string{"v1 100", "v1 90 v2 10", "v1 100"}, w.router.moves())
	})
}

func TestFromTheDecisionToTheLastRequestNoTimePasses(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.router.rate, w.router.bad = 100, map[string]float64{"v2": 0.5}
		var back time.Time
		w.router.setting = func(table rollout.Table) {
			if w.look(table); shares(table.Split) == "v1 100" {
				back = time.Now()
			}
		}
		run, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		i := slices.IndexFunc(run.States, func(s rollout.StateRecord) bool { return s.State == rollout.StateRollingBack })
		require.LessOrEqual(t, back.Sub(run.States[i].StartedAt), 10*time.Millisecond)
		require.LessOrEqual(t, back.Sub(run.States[i-1].StartedAt), 5*time.Second+10*time.Millisecond, "it was found at the first look")
	})
}

func TestFewRequestsPauseARunThatHasManySteps(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.router.rate = 1
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 1}, {Percent: 2}, {Percent: 3}, {Percent: 4}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		run = w.state(c, run.ID, rollout.StatePaused)
		require.Equal(t, 2, run.Step)
		require.Contains(t, run.Reason, "50 are needed")
		require.NoError(t, c.Resume(t.Context(), run.ID, 2, ann))
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err, "who goes on has seen it")
	})
}

// stages are the states in which a run can be met, and how to keep it there.
var stages = map[rollout.State]func(w *world, config *rollout.Config, r *rollout.Request){
	rollout.StatePaused: func(_ *world, config *rollout.Config, _ *rollout.Request) {
		config.Gate = func(_ context.Context, run rollout.Run) error {
			if run.From.Run == "" {
				return nil
			}
			return errors.New("nobody is in the office")
		}
	},
	rollout.StateBuilding: func(_ *world, config *rollout.Config, _ *rollout.Request) {
		config.Before = []rollout.Hook{{Name: "migrate", Do: func(ctx context.Context, run rollout.Run) error {
			if run.From.Run == "" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}}
	},
	rollout.StateHealthWait: func(w *world, _ *rollout.Config, _ *rollout.Request) { w.fleet.sick["v2"] = "no" },
	rollout.StateAnalysing:  func(*world, *rollout.Config, *rollout.Request) {},
	rollout.StateDraining: func(w *world, _ *rollout.Config, r *rollout.Request) {
		w.router.open["http://v1-1"] = true
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 100, Hold: -1}}}
	},
	rollout.StateFinalising: func(_ *world, config *rollout.Config, _ *rollout.Request) {
		config.After = []rollout.Hook{{Name: "purge", Do: func(ctx context.Context, run rollout.Run) error {
			if run.From.Run == "" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}}
	},
}

func TestCancelWinsInEveryState(t *testing.T) {
	t.Parallel()
	for state, keep := range stages {
		t.Run(string(state), func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				w.floor = 1
				r := request("v2")
				var told []rollout.Run
				c := w.controller(func(config *rollout.Config) {
					config.OnFinish = func(run rollout.Run) { told = append(told, run) }
					keep(w, config, &r)
				})
				w.rolls(c, request("v1"))
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				w.state(c, run.ID, state)
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann), "twice is once")
				run, err = c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
				require.Equal(t, "by ann: because", run.Reason)
				synctest.Wait()
				require.Equal(t, "v1 100", shares(w.router.table(web).Split))
				_, all := w.fleet.count("v2")
				require.Zero(t, all)
				require.Len(t, told, 2)
				require.Equal(t, run.ID, told[1].ID)
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann), "nor is there anything to do when it is done")
				require.ErrorIs(t, c.Pause(t.Context(), run.ID, ann), rollout.ErrStale)
				delete(w.fleet.sick, "v2")
				svc, err := w.db.Rollouts().Service(t.Context(), web)
				require.NoError(t, err)
				require.Len(t, svc.Revisions, 1)
				require.Empty(t, svc.Untold)
			})
		})
	}
}

func TestGoingBackFromHalfWayNeedsCapacityFirst(t *testing.T) { // A4
	t.Parallel()
	for _, supersedes := range []bool{false, true} {
		passes(t, func(t *testing.T, w *world) {
			w.floor = 4
			c := w.controller()
			first := request("v1")
			first.Spec.MinReplicas = new(4)
			w.rolls(c, first)
			r := request("v2")
			r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 75, Manual: true}, {Percent: 100}}}
			run, err := c.Start(t.Context(), r)
			require.NoError(t, err)
			w.state(c, run.ID, rollout.StatePaused)
			ready, _ := w.fleet.count("v1")
			require.LessOrEqual(t, ready, 2, "it has what it needs, and Surge")
			w.fleet.startUp = time.Minute
			if supersedes {
				next := request("v3")
				next.Supersede = true
				third, err := c.Start(t.Context(), next)
				require.NoError(t, err)
				_, err = c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
				require.NoError(t, c.Cancel(t.Context(), third.ID, ann))
				_, err = c.Wait(t.Context(), third.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
			} else {
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
				time.Sleep(30 * time.Second)
				require.Equal(t, "v1 50 v2 50", shares(w.router.table(web).Split), "what there is goes on")
				_, err = c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
			}
			ready, all := w.fleet.count("v1")
			require.Equal(t, []int{4, 4}, []int{ready, all})
			_, all = w.fleet.count("v2")
			require.Zero(t, all)
			last := 100
			for _, m := range w.router.moves() {
				if strings.Contains(m, "v2") {
					last = 0
				}
			}
			require.Zero(t, last)
		})
	}
}

func TestARollbackThatIsCancelledLeavesWhatHadAShare(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 1
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		r.Share, r.Strategy = new(71), &rollout.Strategy{Tolerance: rollout.Tolerance{Off: true}}
		run := w.rolls(c, r)
		w.router.open["http://v2-2"] = true
		back, err := c.Rollback(t.Context(), run.ID, ann)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
		require.NoError(t, c.Cancel(t.Context(), back.ID, ann))
		_, err = c.Wait(t.Context(), back.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.Equal(t, "v1 29 v2 71", shares(w.router.table(web).Split))
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
	})
}

func TestABadStableRevisionDoesNotKeepAGoodOneFromComing(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.fleet.sick["v1"] = "exit 1"
		w.fleet.change("v1", func(r *rollout.Replica) { r.State, r.Failure = rollout.ReplicaFailing, "exit 1" })
		run := w.rolls(c, request("v2"))
		require.Equal(t, "v2 100", shares(run.Split))

		third := request("v3")
		w.fleet.change("v2", func(r *rollout.Replica) { r.State = rollout.ReplicaFailing })
		started, err := c.Start(t.Context(), third)
		require.NoError(t, err)
		w.state(c, started.ID, rollout.StateAnalysing)
		require.Equal(t, "v3 100", shares(w.router.table(web).Split), "it alone has something ready")
		require.NoError(t, c.Cancel(t.Context(), started.ID, ann))
		run, err = c.Wait(t.Context(), started.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.Contains(t, run.Reason, "keeps the traffic")
		require.Equal(t, "v3 100", shares(w.router.table(web).Split), "there is nobody else to serve it")
		w.rolls(c, request("v4"))
	})
}
