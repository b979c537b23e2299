package rollout_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestAControllerForgetsWhatIsOver(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		var ended atomic.Int64
		router := newSplitter()
		c := w.controller(func(c *rollout.Config) { c.OnFinish = func(rollout.Run) { ended.Add(1) } })
		other := w.controller(func(c *rollout.Config) { c.Router = router })
		w.tend(c)
		w.tend(other)
		both := func(f func(services, told, scaled int)) {
			synctest.Wait()
			for _, c := range []*rollout.Controller{c, other} {
				f(c.Remembers())
			}
		}
		for _, version := range []string{"v1", "v2", "v3", "v4"} {
			r := request(version)
			r.Spec.CPU, r.Spec.MaxReplicas = new(1.0), new(4)
			r.Spec.Scaling = []rollout.Scaling{{Resource: "cpu", Threshold: 50}}
			r.Strategy = &rollout.Strategy{KeepOld: -1, Steps: []rollout.Step{{Percent: 100, Hold: 2 * time.Minute}}}
			w.rolls(c, r)
			time.Sleep(5 * time.Minute)
		}
		require.Equal(t, int64(4), ended.Load())
		both(func(services, told, scaled int) {
			require.Equal(t, 1, services)
			require.Zero(t, told)
			require.Equal(t, 1, scaled, "the revision that there is")
		})
		require.NoError(t, c.RemoveService(t.Context(), web, ann))
		for range 2 { // also after all services were read again
			time.Sleep(5 * time.Minute)
			both(func(services, _, _ int) { require.Zero(t, services) })
		}
		require.Empty(t, router.table(web).Endpoints)
		w.rolls(c, request("v1"))
		time.Sleep(time.Second)
		synctest.Wait()
		for _, r := range []*splitter{w.router, router} {
			require.Equal(t, "v1 100", shares(r.table(web).Split), "it may come back")
		}
		require.Equal(t, int64(5), ended.Load(), "each run is told of once")
	})
}
