package rollout_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func manual(version string) rollout.Request {
	r := request(version)
	r.Strategy = &rollout.Strategy{Steps: []rollout.Step{
		{Percent: 10, Manual: true}, {Percent: 50, Manual: true}, {Percent: 100},
	}}
	return r
}

func TestAResumeIsForOnePause(t *testing.T) { // A3
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, other := w.controller(), w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		require.ErrorIs(t, c.Resume(t.Context(), run.ID, 1, ann), rollout.ErrStale)
		var all sync.WaitGroup
		for _, c := range []*rollout.Controller{c, other, c, other} {
			all.Go(func() {
				if err := c.Resume(t.Context(), run.ID, 0, ann); err != nil {
					require.ErrorIs(t, err, rollout.ErrStale)
				}
			})
		}
		all.Wait()
		w.until("the second pause", func() bool {
			run, err = c.Get(t.Context(), run.ID)
			return err == nil && run.State == rollout.StatePaused && run.Step == 1
		})
		time.Sleep(time.Hour)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StatePaused, run.State)
		require.Equal(t, "v1 50 v2 50", shares(w.router.table(web).Split), "it stays")
		require.ErrorIs(t, other.Resume(t.Context(), run.ID, 0, ann), rollout.ErrStale)
		require.NoError(t, other.Resume(t.Context(), run.ID, 1, ann))
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestAResumeAtAStepThatIsNotPausedIsNoCredit(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		require.ErrorIs(t, c.Resume(t.Context(), run.ID, 0, ann), rollout.ErrStale)
		w.state(c, run.ID, rollout.StatePaused)
		time.Sleep(time.Hour)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, 0, run.Step)
	})
}

func TestPromoteSkipsTheStepsThatAreLeft(t *testing.T) {
	t.Parallel()
	for _, state := range []rollout.State{rollout.StateHealthWait, rollout.StateAnalysing, rollout.StatePaused} {
		passes(t, func(t *testing.T, w *world) {
			c, other := w.controller(), w.controller()
			w.rolls(c, request("v1"))
			run, err := c.Start(t.Context(), manual("v2"))
			require.NoError(t, err)
			w.state(c, run.ID, state)
			begun := time.Now()
			require.NoError(t, other.Promote(t.Context(), run.ID, ann))
			run, err = c.Wait(t.Context(), run.ID)
			require.NoError(t, err)
			require.Less(t, time.Since(begun), 10*time.Second, state)
			require.NotContains(t, w.router.moves(), "v1 50 v2 50")
			require.ErrorIs(t, c.Promote(t.Context(), run.ID, ann), rollout.ErrStale)
		})
	}
}

func TestPauseHoldsTheRunAtItsStep(t *testing.T) {
	t.Parallel()
	for _, state := range []rollout.State{rollout.StateHealthWait, rollout.StateAnalysing} {
		passes(t, func(t *testing.T, w *world) {
			c, other := w.controller(), w.controller()
			w.rolls(c, request("v1"))
			run, err := c.Start(t.Context(), request("v2"))
			require.NoError(t, err)
			w.state(c, run.ID, state)
			require.NoError(t, other.Pause(t.Context(), run.ID, ann))
			time.Sleep(time.Hour)
			run, err = c.Get(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, rollout.StatePaused, run.State)
			require.Equal(t, "by ann: because", run.Reason)
			require.NoError(t, other.Pause(t.Context(), run.ID, ann), "it is")
			require.NoError(t, other.Resume(t.Context(), run.ID, run.Step, ann))
			run, err = c.Wait(t.Context(), run.ID)
			require.NoError(t, err)
			require.Equal(t, "no request came while it was looked at: nothing was judged", run.Reason)
		})
	}
}

func TestARunThatIsPausedStillGoesBackWhenItFails(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		w.router.mu.Lock()
		w.router.rate, w.router.bad = 100, map[string]float64{"v2": 1}
		w.router.mu.Unlock()
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
	})
}

func TestTheGateHoldsARunUntilItOpensOrSomebodyDecides(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(*rollout.Controller, rollout.Run) error{
		"it opens": func(*rollout.Controller, rollout.Run) error { return nil },
		"resume": func(c *rollout.Controller, run rollout.Run) error {
			return c.Resume(context.Background(), run.ID, run.Step, ann)
		},
		"promote": func(c *rollout.Controller, run rollout.Run) error {
			return c.Promote(context.Background(), run.ID, ann)
		},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				gate := &gate{}
				c := w.controller(func(config *rollout.Config) { config.Gate = gate.ask })
				w.rolls(c, request("v1"))
				gate.shut("nobody is in the office")
				run, err := c.Start(t.Context(), request("v2"))
				require.NoError(t, err)
				run = w.state(c, run.ID, rollout.StatePaused)
				require.Equal(t, "nobody is in the office", run.Reason)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				require.InDelta(t, 11, gate.count(), 1, "once a minute")
				require.NoError(t, decide(c, run))
				if name != "promote" {
					gate.shut("")
				}
				_, err = c.Wait(t.Context(), run.ID)
				require.NoError(t, err)
			})
		})
	}
}

func TestNoOtherWishTakesThePlaceOfACancel(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, p := w.controller(), &process{at: -1}
		working := w.controller(w.within(p, w.router))
		w.rolls(c, request("v1"))
		run, err := working.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		p.kill() // nobody works on it
		require.NoError(t, c.Pause(t.Context(), run.ID, ann), "it is")
		require.NoError(t, c.Resume(t.Context(), run.ID, 0, ann))
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		require.ErrorIs(t, c.Resume(t.Context(), run.ID, 0, ann), rollout.ErrStale)
		require.ErrorIs(t, c.Promote(t.Context(), run.ID, ann), rollout.ErrStale)
		w.tend(c)
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
	})
}

func TestTheLastWishCountsThoughTheRecordWasReadBeforeIt(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		v1 := request("v1")
		v1.Spec.MinReplicas = new(2)
		w.rolls(c, v1)
		w.fleet.locked(func() { w.fleet.startUp = time.Minute })
		run, err := c.Start(t.Context(), manual("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateHealthWait)
		require.NoError(t, c.Pause(t.Context(), run.ID, ann))
		time.Sleep(10 * time.Second)
		w.fleet.kill("v1", 1) // which makes the run write, and read the wish
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		run, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StateSucceeded, run.State)
	})
}
