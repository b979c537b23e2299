package rollout_test

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestAServiceThatSleepsIsWokenDuringARun(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*rollout.Config){
		"that a Gate holds": func(config *rollout.Config) { config.Gate = holdsUpdates },
		"that a hook is busy with": func(config *rollout.Config) {
			config.Before = []rollout.Hook{{Name: "migrate", Do: func(ctx context.Context, run rollout.Run) error {
				if run.From.Run == "" {
					return nil
				}
				return sleep(ctx, time.Hour)
			}, Timeout: 2 * time.Hour}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller(config)
				w.tend(c)
				r := request("v1")
				r.Spec.MinReplicas = new(0)
				w.rolls(c, r)
				time.Sleep(10 * time.Minute)
				_, all := w.fleet.count("v1")
				require.Zero(t, all)
				run, err := c.Start(t.Context(), request("v2"))
				require.NoError(t, err)
				time.Sleep(time.Minute)
				w.router.wait(3)
				time.Sleep(1100 * time.Millisecond)
				synctest.Wait()
				ready, _ := w.fleet.count("v1")
				require.Equal(t, 1, ready)
				require.Len(t, w.router.table(web).Endpoints, 1)
				w.router.wait(0)
				require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
				_, err = c.Wait(t.Context(), run.ID)
				require.ErrorIs(t, err, rollout.ErrCancelled)
				ready, _ = w.fleet.count("v1")
				require.Equal(t, 1, ready, "and stays awake")
			})
		})
	}
}

// holdsUpdates is a Gate that lets only a first version pass.
func holdsUpdates(_ context.Context, run rollout.Run) error {
	if run.From.Run == "" {
		return nil
	}
	return errDown
}

func TestWhatIsDueIsDoneThoughSomebodyElseWantedTheLease(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		w.rolls(c, request("v1"))
		w.rolls(c, request("v2"))
		time.Sleep(2 * time.Minute)
		var looks atomic.Int64
		w.fleet.mu.Lock()
		w.fleet.call = func(name string) error {
			if name == "Observe" && looks.Add(1) == 1 {
				time.Sleep(2 * time.Second)
				return errDown
			}
			return nil
		}
		w.fleet.tell()
		w.fleet.mu.Unlock()
		time.Sleep(time.Second) // it looks
		require.Equal(t, int64(1), looks.Load())
		r := request("v3")
		r.Plan = "of another time"
		_, err := c.Start(t.Context(), r)
		require.ErrorIs(t, err, rollout.ErrStale)
		time.Sleep(10 * time.Minute)
		_, old := w.fleet.count("v1")
		require.Zero(t, old, "it is kept no longer")
	})
}

// hiccup is a store whose Watch fails while it is broken.
type hiccup struct {
	rollout.RunStore
	broken atomic.Bool
}

func (h *hiccup) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return func(yield func(rollout.Event, error) bool) {
		for e, err := range h.RunStore.Watch(ctx, after) {
			if h.broken.Load() {
				yield(rollout.Event{}, errDown)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestARouterIsNotLateBecauseTheStoreHadAHiccup(t *testing.T) {
	t.Parallel()
	for name, seen := range map[string]bool{"before any event": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				dark := request("v2")
				dark.Share = new(0)
				w.rolls(c, dark)
				store, router := &hiccup{RunStore: w.db.Rollouts()}, newSplitter()
				other := w.controller(func(config *rollout.Config) { config.RunStore, config.Router = store, router })
				w.tend(other)
				time.Sleep(30 * time.Second)
				if seen {
					require.NoError(t, c.Hold(t.Context(), web, ann))
					require.NoError(t, c.Open(t.Context(), web, ann))
					synctest.Wait()
				}
				store.broken.Store(true)
				split := rollout.Split{Weights: []rollout.Weight{{Version: "v1", Percent: 50}, {Version: "v2", Percent: 50}}}
				require.NoError(t, c.Shift(t.Context(), web, split, ann))
				store.broken.Store(false)
				time.Sleep(3 * time.Second)
				require.Equal(t, "v1 50 v2 50", shares(router.table(web).Split))
			})
		})
	}
}

// slowly is a Deployer that does not answer for some services.
type slowly struct{ *fleet }

func (d slowly) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	if strings.HasPrefix(s.Name, "service-") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.fleet.Observe(ctx, s)
}

func TestASlowServiceDelaysNoOther(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		fillServices(w, 40, 1)
		w.fleet.startUp = time.Second
		c := w.controller(func(config *rollout.Config) { config.Deployer = slowly{w.fleet} })
		w.rolls(c, request("v1"))
		w.tend(c)
		time.Sleep(10 * time.Second)
		w.fleet.kill("v1", 1)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
	})
}
