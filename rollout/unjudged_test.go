package rollout_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// promoted promotes a run to v2 some time after it has come to a state.
func (w *world) promoted(c *rollout.Controller, r rollout.Request, at rollout.State, after time.Duration) rollout.Run {
	w.t.Helper()
	run, err := c.Start(w.t.Context(), r)
	require.NoError(w.t, err)
	run = w.state(c, run.ID, at)
	w.router.asks(100, 0)
	time.Sleep(after)
	require.NoError(w.t, c.Promote(w.t.Context(), run.ID, ann))
	run, err = c.Wait(w.t.Context(), run.ID)
	require.NoError(w.t, err)
	return run
}

func TestWhatCameBeforeSomebodyPromotesIsJudged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request rollout.Request
		at      rollout.State
		after   time.Duration
		reason  string
	}{
		"before the step is over": {request("v2"), rollout.StateAnalysing, 20 * time.Second, ""},
		"in its pause":            {manual("v2"), rollout.StatePaused, 20 * time.Second, ""},
		"too few in its pause":    {manual("v2"), rollout.StatePaused, time.Second, "promoted without a verdict: analysis \"traffic\": 10 requests, 50 are needed"},
		"before it is looked at":  {request("v2"), rollout.StateHealthWait, 0, "promoted before it was looked at: nothing was judged"},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				require.Equal(t, tt.reason, w.promoted(c, tt.request, tt.at, tt.after).Reason)
			})
		})
	}
}

func TestWhoPromotesIsNotOverruled(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		w.router.asks(1000, 0.5)
		time.Sleep(4 * time.Second)
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		run, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Contains(t, run.Reason, "promoted all the same: analysis \"traffic\": 50.0 % of ")
	})
}

func TestWhoPromotesAsTheVerdictComesIsNotOverruled(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		w.router.asks(1000, 0.5)
		time.Sleep(time.Second)
		var once sync.Once
		w.router.mu.Lock()
		w.router.call = func(name string) error {
			if name == "Stats" { // the verdict is bad, and nobody knows yet
				once.Do(func() { assert.NoError(t, c.Promote(context.Background(), run.ID, ann)) })
			}
			return nil
		}
		w.router.mu.Unlock()
		run, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Contains(t, run.Reason, "promoted all the same: analysis \"traffic\": 50.0 % of ")
	})
}

func TestWhatCameInAStepIsJudgedWhateverAnEarlierOneWas(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		w.router.asks(100, 0)
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{
			{Percent: 10, Hold: 20 * time.Second, Manual: true}, {Percent: 50, Hold: time.Minute}, {Percent: 100},
		}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		require.NoError(t, c.Resume(t.Context(), run.ID, 0, ann))
		run = w.state(c, run.ID, rollout.StateAnalysing)
		require.Equal(t, 1, run.Step)
		w.router.asks(1000, 1)
		time.Sleep(4 * time.Second)
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		run, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Contains(t, run.Reason, "promoted all the same: analysis \"traffic\": ")
	})
}

func TestAStepThatPassedStaysSoWhereFewCameInItsPause(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bad    float64
		reason string
	}{
		"and were answered": {0, ""},
		"and failed":        {1, "promoted all the same: analysis \"traffic\": 100.0 % of "},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				w.router.asks(100, 0)
				run, err := c.Start(t.Context(), manual("v2"))
				require.NoError(t, err)
				w.state(c, run.ID, rollout.StatePaused)
				w.router.asks(100, tt.bad)
				time.Sleep(time.Second)
				require.NoError(t, c.Promote(t.Context(), run.ID, ann))
				run, err = c.Wait(t.Context(), run.ID)
				require.NoError(t, err)
				if tt.reason == "" {
					require.Empty(t, run.Reason)
				}
				require.Contains(t, run.Reason, tt.reason)
			})
		})
	}
}

func TestAPauseOfAStepWithoutAHoldIsNotLookedAt(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Hold: -1, Manual: true}, {Percent: 100, Hold: time.Minute}}}
		run := w.promoted(c, r, rollout.StatePaused, 10*time.Minute)
		require.Equal(t, "promoted before it was looked at: nothing was judged", run.Reason)
	})
}

func TestHowARunEndsIsLoggedAtItsLevel(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var out bytes.Buffer
		c := w.controller(func(c *rollout.Config) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
		w.rolls(c, request("v1"))
		require.Contains(t, w.rolls(c, request("v2")).Reason, "nothing was judged")
		require.NotContains(t, out.String(), "WARN")
		require.Contains(t, out.String(), `level=INFO msg="rollout: succeeded"`)
		require.Contains(t, out.String(), "nothing was judged")
		run, err := c.Start(t.Context(), manual("v3"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		require.NoError(t, c.Cancel(t.Context(), run.ID, rollout.By{}))
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		require.NoError(t, c.Shutdown(t.Context()))
		require.Contains(t, out.String(), `level=WARN msg="rollout: cancelled"`)
	})
}

func TestWhoResumesAStepThatGoesOnIsToldNothingYet(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		require.NoError(t, c.Pause(t.Context(), run.ID, ann))
		w.state(c, run.ID, rollout.StatePaused)
		w.router.asks(100, 0)
		time.Sleep(time.Second)
		require.NoError(t, c.Resume(t.Context(), run.ID, run.Step, ann))
		run = w.state(c, run.ID, rollout.StateAnalysing)
		for _, s := range run.States {
			require.Empty(t, s.Measurements, "it is looked at again")
		}
	})
}
