package rollout_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestNothingIsDoneWhenNothingChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		fillServices(w, 100, 10)
		c := w.controller()
		w.tend(c)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		observed := w.fleet.observed.Load()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Equal(t, observed, w.fleet.observed.Load(), "nobody looks")
	})
}

// fillServices writes services whose replicas are there.
func fillServices(w *world, services, revisions int) {
	w.fleet.startUp = 0
	for i := range services {
		id := rollout.ServiceID{Name: fmt.Sprintf("service-%d", i)}
		svc := rollout.Service{ID: id, Generation: 1}
		for j := range revisions {
			rev := rollout.RevisionID{Service: id, Version: fmt.Sprintf("v%d", j), Run: fmt.Sprintf("run-%d-%d", i, j)}
			spec := rollout.Spec{Command: []string{"web"}, MinReplicas: new(1), MaxReplicas: new(1)}
			svc.Revisions = append(svc.Revisions, rollout.Revision{ID: rev, Spec: spec, Replicas: 1})
			svc.Split.Weights = append(svc.Split.Weights, rollout.Weight{Version: rev.Version, Run: rev.Run, Percent: 100 / revisions})
			require.NoError(w.t, w.fleet.Ensure(w.t.Context(), rev, spec, 1))
		}
		_, err := w.db.Rollouts().Save(w.t.Context(), rollout.Transition{Service: &svc})
		require.NoError(w.t, err)
	}
}
