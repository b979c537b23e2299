package rollout_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// written writes a service that runs, and what change makes of its record.
func (w *world) written(name string, change func(*rollout.Service)) rollout.ServiceID {
	w.t.Helper()
	id := rollout.ServiceID{Name: name}
	rev := rollout.RevisionID{Service: id, Version: "v1", Run: "run-" + name}
	svc := rollout.Service{
		ID: id, Generation: 1, Stable: rev, Revisions: []rollout.Revision{{ID: rev, Spec: rollout.Spec{Command: []string{"v1"}}, Replicas: 1}},
		Split: rollout.Split{Weights: []rollout.Weight{{Version: "v1", Run: rev.Run, Percent: 100}}},
	}
	if change != nil {
		change(&svc)
	}
	_, err := w.db.Rollouts().Save(w.t.Context(), rollout.Transition{Service: &svc})
	require.NoError(w.t, err)
	return id
}

func TestWhatARecordLacksHasItsDefault(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.tend(c)
		w.written("web", nil)
		time.Sleep(5 * time.Second)
		ready, _ := w.fleet.count("v1")
		require.Equal(t, 1, ready)
		svc, err := c.Status(t.Context(), web)
		require.NoError(t, err)
		spec := svc.Service.Revisions[0].Spec
		require.Equal(t, []int{1, 1}, []int{*spec.MinReplicas, *spec.MaxReplicas})
		require.Equal(t, "/", spec.Health.Path)
		split := rollout.Split{Weights: []rollout.Weight{{Version: "v1", Percent: 100}}}
		require.NoError(t, c.Shift(t.Context(), web, split, ann))
		plan, err := c.Plan(t.Context(), rollout.Request{Service: web})
		require.NoError(t, err)
		require.True(t, plan.UpToDate)
		w.rolls(c, request("v2"))
	})
}

func TestALiveRunThatLacksSomethingGoesOnOrBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		run   func(*rollout.Run)
		svc   func(*rollout.Service)
		state rollout.State
	}{
		"its contents": {run: func(r *rollout.Run) { r.Spec, r.Was = rollout.Spec{}, rollout.Spec{} }, state: rollout.StateSucceeded},
		"its strategy": {run: func(r *rollout.Run) { r.Strategy = rollout.Strategy{} }, state: rollout.StateSucceeded},
		"some of its strategy": {run: func(r *rollout.Run) {
			r.Strategy.DrainTimeout, r.Strategy.MinReady, r.Strategy.Limits.Error, r.Strategy.Tolerance = 0, 0, 0, rollout.Tolerance{}
		}, state: rollout.StateSucceeded},
		"its revision": {svc: func(s *rollout.Service) {
			s.Revisions, s.Split.Weights = s.Revisions[:1], s.Split.Weights[:1]
			s.Split.Weights[0].Percent = 100
		}, state: rollout.StateRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				run, err := c.Start(t.Context(), request("v2"))
				require.NoError(t, err)
				w.state(c, run.ID, rollout.StateAnalysing)
				require.NoError(t, c.Close())
				run, err = w.db.Rollouts().Get(t.Context(), run.ID)
				require.NoError(t, err)
				svc, err := w.db.Rollouts().Service(t.Context(), web)
				require.NoError(t, err)
				if tt.run != nil {
					tt.run(&run)
				} else {
					tt.svc(&svc)
				}
				_, err = w.db.Rollouts().Save(t.Context(), rollout.Transition{Run: &run, Service: &svc})
				require.NoError(t, err)
				next := w.controller()
				w.tend(next)
				run, _ = next.Wait(t.Context(), run.ID)
				require.Equal(t, tt.state, run.State, run.Reason)
			})
		})
	}
}

func TestARecordThatMakesNoSenseIsTheTroubleOfItsServiceAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rollout.Service){
		"fewer than no replicas":    func(s *rollout.Service) { s.Revisions[0].Replicas = -1 },
		"more than anybody has":     func(s *rollout.Service) { s.Revisions[0].Replicas = 1 << 30 },
		"a number that is none":     func(s *rollout.Service) { s.Revisions[0].Spec.MinReplicas = new(-5) },
		"a revision without a name": func(s *rollout.Service) { s.Revisions[0].ID.Run = "" },
		"a revision of another":     func(s *rollout.Service) { s.Revisions[0].ID.Service.Name = "web" },
		"a revision twice":          func(s *rollout.Service) { s.Revisions = append(s.Revisions, s.Revisions[0]) },
		"shares below nothing":      func(s *rollout.Service) { s.Split.Weights[0].Percent = -100 },
		"shares that are not all":   func(s *rollout.Service) { s.Split.Weights[0].Percent = 60 },
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.tend(c)
				bad := w.written("odd", change)
				w.rolls(c, request("v1"))
				time.Sleep(2 * time.Minute)
				_, err := c.Status(t.Context(), bad)
				require.ErrorIs(t, err, rollout.ErrCorrupt)
				_, err = c.Start(t.Context(), rollout.Request{Service: bad})
				require.ErrorIs(t, err, rollout.ErrCorrupt)
				found := map[string]bool{}
				for svc, err := range c.Services(t.Context(), rollout.ServiceQuery{}) {
					found[svc.ID.Name] = err == nil
				}
				require.Equal(t, map[string]bool{"odd": false, "web": true}, found)
				w.fleet.kill("v1", 1)
				time.Sleep(2 * time.Second)
				ready, _ := w.fleet.count("v1")
				require.Equal(t, 1, ready)
			})
		})
	}
}

func TestAReplicaThatNobodyCanReachFreezesNoTable(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "nonsense", "http://", "https://a", "http://ann:secret@a", "http://a b", "http://v1-2"} {
		passes(t, func(t *testing.T, w *world) {
			c := w.controller()
			w.tend(c)
			r := request("v1")
			r.Spec.MinReplicas = new(3)
			w.rolls(c, r)
			w.fleet.mu.Lock()
			w.fleet.replicas["v1-3"].Endpoint = endpoint
			w.fleet.tell()
			w.fleet.mu.Unlock()
			time.Sleep(time.Second)
			w.fleet.kill("v1", 1)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			table := w.router.table(web)
			require.Equal(t, []string{"http://v1-2", "http://v1-4"}, table.Endpoints[table.Split.Weights[0].Run], endpoint)
		})
	}
}

func TestWhatRunsHereSharesNoEndpointWithAnotherRevision(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.until("it is there", func() bool { _, all := w.fleet.count("v2"); return all > 0 })
		w.fleet.change("v2", func(r *rollout.Replica) { r.Endpoint = "http://v1-1" })
		run, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Contains(t, run.Reason, `its endpoint "http://v1-1" is that of replica "v1-1"`)
	})
}

func TestARevisionThatNobodyCanReachIsNotReady(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		w.until("it is there", func() bool { _, all := w.fleet.count("v2"); return all > 0 })
		w.fleet.change("v2", func(r *rollout.Replica) { r.Endpoint = "127.0.0.1:80" })
		run, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Contains(t, run.Reason, "its endpoint is no http URL of host, port and path alone")
	})
}
