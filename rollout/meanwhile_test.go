package rollout_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// meddler is a store in which something happens before a state is first written
// after it was told of it.
type meddler struct {
	rollout.RunStore
	mu    sync.Mutex
	state rollout.State
	do    func(run rollout.Run)
	slow  time.Duration // of the next Get
}

func (s *meddler) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	s.mu.Lock()
	do := s.do
	if t.Run == nil || t.Run.State != s.state {
		do = nil
	} else {
		s.do = nil
	}
	s.mu.Unlock()
	if do != nil {
		do(*t.Run)
	}
	return s.RunStore.Save(ctx, t)
}

func (s *meddler) Get(ctx context.Context, id string) (rollout.Run, error) {
	run, err := s.RunStore.Get(ctx, id)
	s.mu.Lock()
	slow := s.slow
	s.slow = 0
	s.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	return run, err
}

func (w *world) meddled() (*rollout.Controller, *meddler) {
	s := &meddler{RunStore: w.db.Rollouts()}
	return w.controller(func(config *rollout.Config) { config.RunStore = s }), s
}

func TestAWishThatComesWhileAnotherIsMetIsNotLost(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, store := w.meddled()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		store.mu.Lock()
		store.state, store.do = rollout.StatePaused, func(run rollout.Run) {
			require.NoError(t, c.Promote(t.Context(), run.ID, ann))
		}
		store.mu.Unlock()
		require.NoError(t, c.Pause(t.Context(), run.ID, ann))
		time.Sleep(10 * time.Second)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StateSucceeded, run.State)
	})
}

func TestAPauseThatComesBeforeTheLastStepIsLeftPauses(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, store := w.meddled()
		w.rolls(c, request("v1"))
		store.mu.Lock()
		store.state, store.do = rollout.StatePromoting, func(run rollout.Run) {
			require.NoError(t, c.Pause(t.Context(), run.ID, ann))
		}
		store.mu.Unlock()
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StatePaused, run.State)
		require.Equal(t, 2, run.Step)
		require.NoError(t, c.Resume(t.Context(), run.ID, 2, ann))
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestAWishThatWasMetDoesNotComeBack(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, store := w.meddled()
		w.rolls(c, request("v1"))
		r := request("v2")
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 50, Hold: time.Hour}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		store.mu.Lock()
		store.state, store.do = rollout.StatePaused, func(rollout.Run) {
			store.mu.Lock()
			store.slow = 3 * time.Second // who looks now sees the wish, and says so late
			store.mu.Unlock()
			time.Sleep(1500 * time.Millisecond)
		}
		store.mu.Unlock()
		require.NoError(t, c.Pause(t.Context(), run.ID, ann))
		time.Sleep(1600 * time.Millisecond)
		require.NoError(t, c.Resume(t.Context(), run.ID, 0, ann))
		time.Sleep(10 * time.Second)
		run, err = c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StateAnalysing, run.State)
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
	})
}
