package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// forgetful is a store whose reply to the first write of a state is lost, while
// somebody else writes to the service.
type forgetful struct {
	rollout.RunStore
	mu    sync.Mutex
	state rollout.State
}

func (s *forgetful) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	out, err := s.RunStore.Save(ctx, t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || t.Run == nil || t.Run.State != s.state {
		return out, err
	}
	s.state = ""
	svc, err := s.Service(ctx, t.Run.Service)
	if err == nil {
		_, err = s.RunStore.Save(ctx, rollout.Transition{Service: &svc})
	}
	if err != nil {
		return out, err
	}
	return rollout.Transition{}, errDown
}

func TestATransitionWhoseReplyIsLostIsMadeOnce(t *testing.T) {
	t.Parallel()
	for _, state := range []rollout.State{
		rollout.StateBuilding, rollout.StateProvisioning, rollout.StateShifting, rollout.StatePromoting, rollout.StateSucceeded,
		rollout.StateRollingBack, rollout.StateRolledBack,
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			passes(t, func(t *testing.T, w *world) {
				r := steps("v2", 4, 25, 100)
				r.Strategy.KeepOld = 0
				bad := state == rollout.StateRollingBack || state == rollout.StateRolledBack
				if bad {
					w.fleet.sick["v2"] = "exit 1"
				}
				store := &forgetful{RunStore: w.db.Rollouts()}
				c := w.controller(func(config *rollout.Config) { config.RunStore = store })
				w.rolls(c, steps("v1", 4, 100))
				store.mu.Lock()
				store.state = state
				store.mu.Unlock()
				run, err := c.Roll(t.Context(), r)
				require.Equal(t, bad, err != nil, err)
				synctest.Wait()
				require.Empty(t, store.state)
				require.Equal(t, slices.Compact(states(run)), states(run))
				svc, err := w.db.Rollouts().Service(t.Context(), web)
				require.NoError(t, err)
				require.Empty(t, svc.Untold)
				_, kept := w.fleet.count("v1")
				if bad {
					require.Equal(t, 4, kept)
				} else {
					require.Equal(t, 1, kept, "what Surge left of it is kept")
				}
				ended := 0
				for e, err := range c.Follow(t.Context(), run.ID) {
					require.NoError(t, err)
					if e.Kind == rollout.EventEnded {
						ended++
					}
				}
				require.Equal(t, 1, ended)
			})
		})
	}
}

// overtaken is a store before whose next so many runs somebody else writes to the
// service.
type overtaken struct {
	rollout.RunStore
	left int
}

func (s *overtaken) Create(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if s.left > 0 {
		s.left--
		svc, err := s.Service(ctx, t.Run.Service)
		if err == nil {
			_, err = s.RunStore.Save(ctx, rollout.Transition{Service: &svc})
		}
		if err != nil {
			return t, err
		}
	}
	return s.RunStore.Create(ctx, t)
}

func TestARunIsNamedOnceHoweverOftenItIsWritten(t *testing.T) {
	passes(t, func(t *testing.T, w *world) {
		store, named := &overtaken{RunStore: w.db.Rollouts()}, 0
		c := w.controller(func(config *rollout.Config) {
			config.RunStore = store
			config.NewID = func() string { named++; return fmt.Sprint("run ", named) }
		})
		w.rolls(c, steps("v1", 1, 100))
		store.left = 2
		require.Equal(t, "run 2", w.rolls(c, steps("v2", 1, 100)).ID)
		require.Zero(t, store.left)
	})
}
