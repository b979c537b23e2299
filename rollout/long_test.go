package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// eventsOf are those of a run until now.
func (w *world) eventsOf(run rollout.Run) (all []rollout.Event) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	for e, err := range w.db.Rollouts().Watch(ctx, run.Seq-1) {
		if err == nil && e.Run == run.ID {
			all = append(all, e)
		}
	}
	return all
}

func TestARunThatLastsLongKeepsWhatDecides(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var asked atomic.Int64
		c := w.controller(func(config *rollout.Config) {
			measure := func(context.Context, rollout.Scope) (rollout.Measurement, error) {
				if asked.Add(1) == 3 {
					return rollout.Measurement{Verdict: rollout.VerdictInconclusive}, nil
				}
				return rollout.Measurement{Verdict: rollout.VerdictPass}, nil
			}
			config.Analyses = []rollout.Analysis{{Name: "judge", Measure: measure, Interval: time.Second}}
		})
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		time.Sleep(20 * time.Minute)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StatePaused, run.State)
		require.Greater(t, asked.Load(), int64(1100))
		measured, doubts := 0, 0
		for _, s := range run.States {
			for _, m := range s.Measurements {
				if measured++; m.Verdict == rollout.VerdictInconclusive {
					doubts++
				}
			}
		}
		require.Equal(t, 100, measured)
		require.Equal(t, 1, doubts, "what was another verdict is kept")
		last := run.States[len(run.States)-1].Measurements
		require.WithinDuration(t, time.Now(), last[len(last)-1].Time, 2*time.Second, "and the newest")
		events := w.eventsOf(run)
		require.Less(t, len(events), 50)
		require.Contains(t, events[len(events)-1].Message, "1024 times in a row")
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
	})
}

func TestAGateThatFindsNewWordsIsNoNews(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var asked atomic.Int64
		c := w.controller(func(config *rollout.Config) {
			config.Gate = func(_ context.Context, run rollout.Run) error {
				if run.From.Run == "" {
					return nil
				}
				return fmt.Errorf("asked %d times", asked.Add(1))
			}
		})
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		time.Sleep(2*time.Hour + 10*time.Second)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("asked %d times", asked.Load()), run.Reason, "the record knows the last")
		require.Less(t, len(w.eventsOf(run)), 40)
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
	})
}

func TestARunThatIsPausedOftenKeepsSomeStates(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 50, Hold: 24 * time.Hour}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		for range 200 {
			run = w.state(c, run.ID, rollout.StateAnalysing)
			require.NoError(t, c.Pause(t.Context(), run.ID, ann))
			run = w.state(c, run.ID, rollout.StatePaused)
			require.NoError(t, c.Resume(t.Context(), run.ID, run.Step, ann))
		}
		run = w.state(c, run.ID, rollout.StateAnalysing)
		require.Len(t, run.States, 400)
		require.Equal(t, rollout.StateAccepted, run.States[0].State)
		require.Equal(t, rollout.StateAnalysing, run.States[399].State)
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
	})
}

func TestAMeasurementHasItsLimits(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller(func(config *rollout.Config) {
			config.Analyses = []rollout.Analysis{{Name: "judge", Measure: func(context.Context, rollout.Scope) (rollout.Measurement, error) {
				m := rollout.Measurement{Reason: strings.Repeat("x", 10_000), Values: map[string]float64{}}
				for i := range 1000 {
					m.Values[fmt.Sprint(i)] = 1
				}
				return m, nil
			}}}
		})
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		run = w.state(c, run.ID, rollout.StatePaused)
		for _, s := range run.States {
			for _, m := range s.Measurements {
				require.Equal(t, rollout.VerdictError, m.Verdict, "it has none")
				require.Len(t, m.Values, 32)
				require.LessOrEqual(t, len(m.Reason), 512)
			}
		}
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
	})
}
