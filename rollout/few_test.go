package rollout_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// asks makes so many requests a second, and so large a part of those of v2 fail.
func (r *splitter) asks(rate, bad float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count() // what was asked until now
	r.rate, r.bad = rate, map[string]float64{"v2": bad}
}

func TestFewRequestsThatAllFailAreAFail(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.router.asks(0.2, 1) // one in five seconds
		run, err := c.Roll(t.Context(), request("v2"))
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Equal(t, rollout.StateRolledBack, run.State)
		require.Contains(t, run.Reason, "100.0 % of 5 requests failed")
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
	})
}

func TestTooFewRequestsNeverPromote(t *testing.T) {
	t.Parallel()
	once := []rollout.Step{{Percent: 100}}
	for name, tt := range map[string]struct {
		rate, bad float64
		strategy  rollout.Strategy
		reason    string
	}{
		"in three steps":                       {0.4, 0, rollout.Strategy{}, "24 requests, 50 are needed"},
		"though only some fail, in one step":   {0.4, 0.5, rollout.Strategy{Steps: once}, "12 of 24 failed"},
		"of the stable revision, in the last":  {2, 0.5, rollout.Strategy{Steps: once}, "0 requests of the stable revision, 50 are needed"},
		"that fail, with no limit to doubting": {0.4, 0.5, rollout.Strategy{Limits: rollout.Limits{Inconclusive: 100}}, "12 of 24 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				w.router.asks(tt.rate, tt.bad)
				r := request("v2")
				r.Strategy = &tt.strategy
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				time.Sleep(15 * time.Minute)
				synctest.Wait()
				run, err = c.Get(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, rollout.StatePaused, run.State, run.Reason)
				require.Contains(t, run.Reason, tt.reason)
				require.NoError(t, c.Resume(t.Context(), run.ID, run.Step, ann))
				_, err = c.Wait(t.Context(), run.ID)
				require.NoError(t, err, "who goes on has seen it")
			})
		})
	}
}

func TestNoRequestsAtAllHoldNobody(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 1}, {Percent: 2}, {Percent: 3}, {Percent: 4}, {Percent: 100}}}
		run := w.rolls(c, r)
		for _, s := range run.States {
			require.Empty(t, s.Measurements)
		}
	})
}

func TestAStepLastsUntilItsJudgesKnow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		judge *judge
		asked int
	}{
		"one that does not know":       {&judge{verdict: rollout.VerdictInconclusive}, 3},
		"one that cannot be reached":   {&judge{err: errDown}, 4},
		"the Router, which is silent":  {nil, 4},
		"one that knows after a while": {&judge{verdict: rollout.VerdictInconclusive}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller(func(config *rollout.Config) {
					if tt.judge != nil {
						config.Analyses = []rollout.Analysis{{Name: "judge", Measure: tt.judge.measure, Interval: time.Minute}}
					}
				})
				w.rolls(c, request("v1"))
				r := request("v2")
				r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 50}}}
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				w.state(c, run.ID, rollout.StateAnalysing)
				if tt.judge == nil {
					w.router.mu.Lock()
					w.router.call = func(name string) error {
						if name == "Stats" {
							return errors.New("no figures")
						}
						return nil
					}
					w.router.mu.Unlock()
				}
				if name == "one that knows after a while" {
					time.Sleep(90 * time.Second)
					tt.judge.mu.Lock()
					tt.judge.verdict = rollout.VerdictPass
					tt.judge.mu.Unlock()
					_, err = c.Wait(t.Context(), run.ID)
					require.NoError(t, err)
					require.Equal(t, 2, tt.judge.count())
					return
				}
				run = w.state(c, run.ID, rollout.StatePaused)
				require.Zero(t, run.Step)
				measured := 0
				for _, s := range run.States {
					measured += len(s.Measurements)
				}
				require.Equal(t, tt.asked, measured, run.Reason)
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
				_, err = c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
			})
		})
	}
}
