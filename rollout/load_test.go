package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestReplicasThatTheLoadAskedForWithinARunStay(t *testing.T) {
	t.Parallel()
	for name, promotes := range map[string]bool{"back": false, "forward": true} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				first := request("v1")
				first.Spec.MinReplicas, first.Spec.MaxReplicas, first.Spec.CPU = new(2), new(20), new(1.0)
				first.Spec.Scaling = []rollout.Scaling{{Resource: "cpu", Threshold: 50}}
				w.rolls(c, first)
				r := request("v2")
				r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 50, Manual: true}}}
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				w.state(c, run.ID, rollout.StatePaused)
				w.fleet.change("v1", func(r *rollout.Replica) { r.CPU = 2 })
				time.Sleep(time.Minute)
				w.fleet.change("v1", func(r *rollout.Replica) { r.CPU = 0.5 })
				time.Sleep(time.Minute)
				old, _ := w.fleet.count("v1")
				fresh, _ := w.fleet.count("v2")
				require.GreaterOrEqual(t, old, 4)
				if !promotes {
					require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
					_, err = c.Wait(t.Context(), run.ID)
					require.ErrorIs(t, err, rollout.ErrCancelled)
					ready, _ := w.fleet.count("v1")
					require.Equal(t, old, ready)
					return
				}
				w.mu.Lock()
				w.floor = old + fresh
				w.mu.Unlock()
				require.NoError(t, c.Promote(t.Context(), run.ID, ann))
				_, err = c.Wait(t.Context(), run.ID)
				require.NoError(t, err)
				ready, _ := w.fleet.count("v2")
				require.Equal(t, old+fresh, ready)
			})
		})
	}
}
