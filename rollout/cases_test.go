package rollout_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestRollingBackIsImmediateButNeverBlind(t *testing.T) { // A1
	t.Parallel()
	for name, kept := range map[string]bool{"still kept": true, "kept no more": false} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				judge := &judge{}
				c := w.controller(func(config *rollout.Config) {
					config.Analyses = []rollout.Analysis{{Name: "judge", Measure: judge.measure}}
				})
				w.tend(c)
				first := request("v1")
				first.Spec.MinReplicas = new(2)
				w.rolls(c, first)
				second := request("v2")
				second.Strategy = &rollout.Strategy{Surge: 2}
				run := w.rolls(c, second)
				moves, asked := len(w.router.moves()), judge.count()
				w.fleet.startUp = 3 * time.Second
				if kept {
					w.fleet.kill("v1", 1)
					ready, _ := w.fleet.count("v1")
					require.Equal(t, 1, ready)
				} else {
					time.Sleep(11 * time.Minute)
					_, all := w.fleet.count("v1")
					require.Zero(t, all)
				}
				begun := time.Now()
				back, err := c.Rollback(t.Context(), run.ID, ann)
				require.NoError(t, err)
				back, err = c.Wait(t.Context(), back.ID)
				require.NoError(t, err)
				require.Equal(t, run.ID, back.Undoes)
				require.Equal(t, "v1 100", shares(w.router.table(web).Split))
				require.Equal(t, []string{"v1 100"}, w.router.moves()[moves:], "one move")
				require.Equal(t, asked, judge.count(), "nobody is asked")
				require.Less(t, time.Since(begun), 7*time.Second)
				_, err = c.Rollback(t.Context(), run.ID, ann)
				require.ErrorIs(t, err, rollout.ErrStale)
			})
		})
	}
}

// judge is an Analysis that keeps what it was asked.
type judge struct {
	mu      sync.Mutex
	asked   []rollout.Scope
	at      []time.Time
	verdict rollout.Verdict
	err     error
}

func (j *judge) measure(_ context.Context, s rollout.Scope) (rollout.Measurement, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked, j.at = append(j.asked, s), append(j.at, time.Now())
	if j.verdict == "" {
		return rollout.Measurement{Verdict: rollout.VerdictPass}, j.err
	}
	return rollout.Measurement{Verdict: j.verdict, Reason: "so it seems"}, j.err
}

func (j *judge) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.asked)
}

func TestNobodyJudgesAWindowWithoutTraffic(t *testing.T) { // A2
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		judge := &judge{}
		c := w.controller(func(config *rollout.Config) {
			config.Analyses = []rollout.Analysis{{Name: "judge", Measure: judge.measure}}
			config.Strategy.Tolerance.Off = true
		})
		w.rolls(c, request("v1"))
		w.fleet.startUp = 30 * time.Second
		var set []time.Time
		w.router.setting = func(table rollout.Table) {
			w.look(table)
			if w.router.rate == 0 && len(table.Split.Weights) > 1 {
				set = append(set, time.Now())
			}
		}
		again := rollout.Request{Service: web}
		again.Spec.Environment = map[string]string{"COLOUR": "blue"} // the same version, in place
		run := w.rolls(c, again)
		require.Equal(t, "v1", run.Revision.Version)
		require.NotEqual(t, run.From.Run, run.Revision.Run)
		require.NotEmpty(t, judge.asked)
		for i, scope := range judge.asked {
			require.Equal(t, run.Revision, scope.New, "the new content")
			require.Equal(t, run.From, scope.Stable)
			require.True(t, judge.at[i].After(scope.Since), "a window has some length")
			for _, at := range set {
				require.False(t, scope.Since.Before(at) && at.Before(judge.at[i]), "and no other traffic in it")
			}
		}
		require.False(t, judge.asked[0].Since.Before(set[0]))
	})
}

func TestAnalysesDecideByHowOftenInARow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		judge *judge
		asked int
		state rollout.State
	}{
		"it fails":             {&judge{verdict: rollout.VerdictFail}, 1, rollout.StateRolledBack},
		"it does not know":     {&judge{verdict: rollout.VerdictInconclusive}, 3, rollout.StatePaused},
		"it cannot be reached": {&judge{err: errDown}, 4, rollout.StatePaused},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller(func(config *rollout.Config) {
					config.Analyses = []rollout.Analysis{{Name: "judge", Measure: tt.judge.measure, From: 1}}
					config.Strategy.Tolerance.Off = true
				})
				w.rolls(c, request("v1"))
				r := request("v2")
				r.Strategy = &rollout.Strategy{
					Steps:     []rollout.Step{{Percent: 1}, {Percent: 2, Hold: time.Hour}},
					Tolerance: rollout.Tolerance{Off: true},
				}
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				run = w.state(c, run.ID, tt.state)
				require.Equal(t, tt.asked, tt.judge.count())
				require.Contains(t, run.Reason, `"judge"`)
				measured := 0
				for _, s := range run.States {
					measured += len(s.Measurements)
				}
				require.Equal(t, tt.asked, measured)
				require.Equal(t, 1, tt.judge.asked[0].Step)
				if tt.state == rollout.StatePaused {
					require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
					_, err = c.Wait(t.Context(), run.ID)
					require.ErrorIs(t, err, rollout.ErrCancelled)
				}
			})
		})
	}
}

func TestEverybodyIsToldOfEveryEnd(t *testing.T) { // A6
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		told := map[string]int{}
		note := func(config *rollout.Config) {
			config.OnFinish = func(run rollout.Run) {
				mu.Lock()
				defer mu.Unlock()
				told[run.ID]++
			}
		}
		c, other := w.controller(note), w.controller(note)
		w.tend(c)
		w.tend(other)
		var ids []string
		ends := func(run rollout.Run, err error) {
			ids = append(ids, run.ID)
			require.True(t, run.State.Done())
		}
		v1 := w.rolls(c, request("v1"))
		ends(v1, nil)
		v2 := w.rolls(other, request("v2"))
		ends(v2, nil)
		back, err := c.Rollback(t.Context(), v2.ID, ann)
		require.NoError(t, err)
		ends(other.Wait(t.Context(), back.ID))
		dark := request("v3")
		dark.Share = new(0)
		ends(w.rolls(c, dark), nil)
		w.fleet.sick["v4"] = "no"
		ends(c.Roll(t.Context(), request("v4")))
		run, err := c.Start(t.Context(), request("v5"))
		require.NoError(t, err)
		require.NoError(t, other.Cancel(t.Context(), run.ID, ann))
		ends(other.Wait(t.Context(), run.ID))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, told, len(ids))
		for _, id := range ids {
			require.Equal(t, 1, told[id])
			var kinds []rollout.EventKind
			for e, err := range c.Follow(t.Context(), id) {
				require.NoError(t, err)
				kinds = append(kinds, e.Kind)
			}
			require.Equal(t, rollout.EventStarted, kinds[0])
			require.Equal(t, len(kinds)-1, slices.Index(kinds, rollout.EventEnded), "once, and last")
		}
	})
}

func TestWhoWasNotToldBecauseTheProcessDiedIsToldByTheNext(t *testing.T) { // A6
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		p := &process{at: -1}
		c := w.controller(w.within(p, w.router), func(config *rollout.Config) {
			config.OnFinish = func(rollout.Run) { p.kill() }
		})
		run, err := c.Start(t.Context(), request("v1"))
		require.NoError(t, err)
		w.until("death", p.ended)
		require.NoError(t, c.Close())
		told := make(chan string, 10)
		next := w.controller(func(config *rollout.Config) { config.OnFinish = func(run rollout.Run) { told <- run.ID } })
		w.tend(next)
		require.Equal(t, run.ID, <-told)
		time.Sleep(10 * time.Minute)
		require.Empty(t, told)
	})
}

func TestAControllerThatWasStoppedPastItsLeaseDoesNothingMore(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		p := &process{at: -1}
		router := newSplitter()
		c := w.controller(w.within(p, router))
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		calls := len(p.made())
		p.kill() // nothing it sends arrives any more
		other := w.controller()
		w.tend(other)
		run = w.state(other, run.ID, rollout.StateSucceeded)
		require.Equal(t, "v2 100", shares(w.router.table(web).Split))
		p.mu.Lock()
		p.dead = false // and it goes on
		p.mu.Unlock()
		time.Sleep(time.Minute)
		require.Len(t, p.made(), calls, "it knows that it has lost its lease")
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err, "and says how the run ended")
		_, ready := w.fleet.count("v2")
		require.Equal(t, 1, ready)
	})
}

func TestAHookThatWasBegunRunsAgainAndOneThatIsDoneDoesNot(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		p := &process{at: -1}
		ran := map[string]int{}
		hooks := func(config *rollout.Config) {
			hook := func(name string) rollout.Hook {
				return rollout.Hook{Name: name, Do: func(context.Context, rollout.Run) error {
					ran[name]++
					if name == "second" && ran[name] == 1 {
						p.kill()
					}
					return nil
				}}
			}
			config.Before = []rollout.Hook{hook("first"), hook("second")}
			config.After = []rollout.Hook{hook("last")}
			config.AfterStep = []rollout.Hook{hook("step")}
		}
		c := w.controller(w.within(p, w.router), hooks)
		run, err := c.Start(t.Context(), request("v1"))
		require.NoError(t, err)
		w.until("death", p.ended)
		require.NoError(t, c.Close())
		next := w.controller(hooks)
		w.tend(next)
		_, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"first": 1, "second": 2, "step": 1, "last": 1}, ran)
	})
}

func TestAHookThatFailsGoesBack(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller(func(config *rollout.Config) {
			config.AfterStep = []rollout.Hook{{Name: "look", Do: func(_ context.Context, run rollout.Run) error {
				if run.From.Run != "" {
					return errors.New("that is not good")
				}
				return nil
			}}}
		})
		w.rolls(c, request("v1"))
		run, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Contains(t, run.Reason, `hook "look": that is not good`)
		require.Equal(t, "v1 100", shares(run.Split))
	})
}
