package rollout_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestOnlyTheRevisionThatIsLoadedGrows(t *testing.T) { // S1
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		w.floor = 2
		c := w.controller()
		w.tend(c)
		first := request("v1")
		first.Spec.CPU, first.Spec.MinReplicas, first.Spec.MaxReplicas = new(1.0), new(2), new(6)
		first.Spec.Scaling = []rollout.Scaling{{Resource: "cpu", Threshold: 60}}
		w.rolls(c, first)
		w.fleet.change("v1", func(r *rollout.Replica) { r.CPU = 0.3 })
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		w.fleet.change("v2", func(r *rollout.Replica) { r.CPU = 1.1 })
		time.Sleep(30 * time.Second)
		ready, _ := w.fleet.count("v2")
		require.Equal(t, 2, ready, "1.1 cores are 2 at 60 %")
		ready, _ = w.fleet.count("v1")
		require.Equal(t, 2, ready)
		w.fleet.change("v2", func(r *rollout.Replica) { r.CPU = 0.3 })
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)

		w.fleet.change("v2", func(r *rollout.Replica) { r.CPU = 1 })
		time.Sleep(time.Minute)
		ready, _ = w.fleet.count("v2")
		require.Equal(t, 4, ready, "2 cores at 60 %; the new ones are idle yet")
		w.fleet.change("v2", func(r *rollout.Replica) { r.CPU = 0.01 })
		time.Sleep(4 * time.Minute)
		ready, _ = w.fleet.count("v2")
		require.Equal(t, 4, ready, "a lull is no reason")
		time.Sleep(3 * time.Minute)
		ready, _ = w.fleet.count("v2")
		require.Equal(t, 2, ready, "never below the least")
	})
}

func TestWhatDiedIsReplacedAndTheRouterIsTold(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, other := w.controller(), w.controller()
		w.tend(c)
		w.tend(other)
		r := request("v1")
		r.Spec.MinReplicas = new(3)
		w.rolls(c, r)
		time.Sleep(time.Minute)
		before := w.router.table(web).Generation
		w.fleet.kill("v1", 2)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		table := w.router.table(web)
		require.Len(t, table.Endpoints[table.Split.Weights[0].Run], 1)
		require.Greater(t, table.Generation, before)
		time.Sleep(2 * time.Second)
		table = w.router.table(web)
		require.Len(t, table.Endpoints[table.Split.Weights[0].Run], 3)
		svc, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		require.Equal(t, svc.Generation, table.Generation)
	})
}

func TestAServiceThatNobodyAsksForStopsAndWakes(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		r := request("v1")
		r.Spec.MinReplicas = new(0)
		w.rolls(c, r)
		time.Sleep(4 * time.Minute)
		_, all := w.fleet.count("v1")
		require.Equal(t, 1, all)
		time.Sleep(2 * time.Minute)
		_, all = w.fleet.count("v1")
		require.Zero(t, all)
		require.Equal(t, "v1 100", shares(w.router.table(web).Split), "requests wait for it")
		w.router.wait(3)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
		require.Len(t, w.router.table(web).Endpoints, 1)
	})
}
