package rollout_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func TestSharesOfVersionsSumTo100WhateverIsWanted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before  []rollout.Weight // of v1, v2 and v3; v1 alone if empty
		replace string
		version string
		share   *int
		steps   []int
		moves   []string
	}{
		"one version, a share below 100: the old content keeps the rest": {
			replace: "v1", share: new(30), steps: []int{10, 100}, moves: []string{"v1 97 v1 3", "v1 70 v1 30"},
		},
		"one version and a name beside it": {
			replace: "v1", version: "new", share: new(30), steps: []int{50}, moves: []string{"v1 85 new 15", "v1 70 new 30"},
		},
		"several versions are scaled in proportion, and zero stays zero": {
			before:  []rollout.Weight{{Version: "v1", Percent: 60}, {Version: "v2", Percent: 0}, {Version: "v3", Percent: 40}},
			replace: "v3", share: new(55), steps: []int{100}, moves: []string{"v1 45 v3 55"},
		},
		"the largest remainder gets what is left": {
			before:  []rollout.Weight{{Version: "v1", Percent: 33}, {Version: "v2", Percent: 33}, {Version: "v3", Percent: 34}},
			replace: "v3", share: new(1), steps: []int{100}, moves: []string{"v1 50 v2 49 v3 1"},
		},
		"dark: what was replaced keeps its share": {
			replace: "v1", version: "new", share: new(0), steps: []int{100}, moves: []string{},
		},
		"none: the share that the version has": {
			before:  []rollout.Weight{{Version: "v1", Percent: 60}, {Version: "v2", Percent: 0}, {Version: "v3", Percent: 40}},
			replace: "v3", steps: []int{50, 100}, moves: []string{"v1 60 v3 20 v3 20", "v1 60 v3 40"},
		},
		"steps are percents of the share": {
			replace: "v1", version: "new", share: new(40), steps: []int{10, 50, 100}, moves: []string{"v1 96 new 4", "v1 80 new 20", "v1 60 new 40"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				if len(tt.before) > 0 {
					for _, version := range []string{"v2", "v3"} {
						r := request(version)
						r.Share = new(0)
						w.rolls(c, r)
					}
					require.NoError(t, c.Shift(t.Context(), web, rollout.Split{Weights: tt.before}, ann))
				}
				moves := len(w.router.moves())
				r := rollout.Request{Service: web, Replace: tt.replace, Version: tt.version, Share: tt.share}
				r.Spec.Environment = map[string]string{"COLOUR": "blue"}
				r.Strategy = &rollout.Strategy{Tolerance: rollout.Tolerance{Off: true}}
				for _, p := range tt.steps {
					r.Strategy.Steps = append(r.Strategy.Steps, rollout.Step{Percent: p, Hold: time.Second})
				}
				plan, err := c.Plan(t.Context(), r)
				require.NoError(t, err)
				for i, step := range plan.Steps {
					if len(tt.moves) > 0 {
						require.Equal(t, tt.moves[i], shares(step.Split), "as planned")
					}
				}
				w.rolls(c, r)
				require.Equal(t, tt.moves, append([]string{}, w.router.moves()[moves:]...))
				sum := 0
				for _, weight := range w.router.table(web).Split.Weights {
					sum += weight.Percent
				}
				require.Equal(t, 100, sum)
			})
		})
	}
}

func TestAPlanSaysWhatWouldHappenAndChangesNothing(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller(func(config *rollout.Config) {
			config.Before = []rollout.Hook{{Name: "migrate", Do: nothing}}
			config.After = []rollout.Hook{{Name: "purge", Do: nothing}}
		})
		first := request("v1")
		first.Spec.MinReplicas = new(4)
		first.Spec.Environment = map[string]string{"PASSWORD": "geheim", "OLD": "x"}
		first.Spec.Health = &rollout.Health{Headers: map[string]string{"Authorization": "geheim"}}
		w.rolls(c, first)
		r := rollout.Request{Service: web, Version: "v2", Spec: rollout.Spec{
			Source:      &rollout.Source{Kind: "gitlab", URL: "https://ann:geheim@git.example/web?token=geheim"},
			Environment: map[string]string{"PASSWORD": "geheimer", "NEW": "geheim"}, Port: new(9000),
		}}
		before, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		plan, err := c.Plan(t.Context(), r)
		require.NoError(t, err)
		after, err := w.db.Rollouts().Service(t.Context(), web)
		require.NoError(t, err)
		require.Equal(t, before, after)
		text, err := json.Marshal(plan)
		require.NoError(t, err)
		require.NotContains(t, string(text), "geheim")
		fields := map[string]string{}
		for _, d := range plan.Diff {
			fields[d.Field] = d.From + " → " + d.To
		}
		require.Equal(t, "*** → ***", fields["Environment.PASSWORD"])
		require.Equal(t, " → ***", fields["Environment.NEW"])
		require.Equal(t, "*** → ", fields["Environment.OLD"])
		require.Equal(t, " → 9000", fields["Port"])
		require.Equal(t, "v1 → v2", fields["Version"])
		require.NotEmpty(t, fields["Source"])
		require.Len(t, plan.Steps, 3)
		require.Equal(t, []string{"v1 90 v2 10", "v1 50 v2 50", "v2 100"},
			[]string{shares(plan.Steps[0].Split), shares(plan.Steps[1].Split), shares(plan.Steps[2].Split)})
		require.Equal(t, 2, plan.Steps[1].Replicas[""])
		require.Equal(t, []string{"migrate", "purge"}, plan.Hooks)
		require.Greater(t, plan.Longest, 3*time.Minute)
		require.False(t, plan.UpToDate)

		r.Plan = plan.ID
		again, err := w.controller().Plan(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, plan.ID, again.ID, "in another process too")
		require.NoError(t, c.Shift(t.Context(), web, after.Split, ann))
		again, err = c.Plan(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, plan.ID, again.ID, "as long as it would do the same")
		other := r
		other.Spec.Port = new(9001)
		_, err = c.Start(t.Context(), other)
		require.ErrorIs(t, err, rollout.ErrStale)
		w.rolls(c, r)
		_, err = c.Start(t.Context(), r)
		require.Error(t, err)
	})
}

func TestNothingToDoIsUpToDateUnlessItIsToBeginAnew(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		run := w.rolls(c, request("v1"))
		plan, err := c.Plan(t.Context(), rollout.Request{Service: web})
		require.NoError(t, err)
		require.True(t, plan.UpToDate)
		require.Empty(t, plan.Diff)
		for _, r := range []rollout.Request{{Service: web}, request("v1"), {Service: web, Replace: "latest", Share: new(100)}} {
			_, err = c.Start(t.Context(), r)
			require.ErrorIs(t, err, rollout.ErrUpToDate)
		}
		again := w.rolls(c, rollout.Request{Service: web, Restart: true})
		require.Equal(t, "v1", again.Revision.Version)
		require.NotEqual(t, run.Revision, again.Revision)
	})
}

func TestAnUpgradedLibraryIsNotAChange(t *testing.T) { // A5
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		rev := rollout.RevisionID{Service: web, Version: "v1", Run: "run-1"}
		old := rollout.Spec{Command: []string{"v1"}, Environment: map[string]string{}, Volumes: []rollout.Volume{}} // of which much is missing
		_, err := w.db.Rollouts().Save(t.Context(), rollout.Transition{Service: &rollout.Service{
			ID: web, Revisions: []rollout.Revision{{ID: rev, Spec: old, Replicas: 1}},
			Split: rollout.Split{Weights: []rollout.Weight{{Version: "v1", Run: "run-1", Percent: 100}}},
		}})
		require.NoError(t, err)
		plan, err := w.controller().Plan(t.Context(), rollout.Request{Service: web})
		require.NoError(t, err)
		require.Empty(t, plan.Diff)
		require.True(t, plan.UpToDate)
		r := rollout.Request{Service: web, Restart: true}
		plan, err = w.controller().Plan(t.Context(), r)
		require.NoError(t, err)
		r.Plan = plan.ID
		run := w.rolls(w.controller(), r)
		require.NotEqual(t, rev, run.Revision)
	})
}

func TestAServiceWhoseFirstRunIsHeldHasAStatus(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		gate := &gate{reason: "not now"}
		c := w.controller(func(config *rollout.Config) { config.Gate = gate.ask })
		run, err := c.Start(t.Context(), request("v1"))
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StatePaused)
		status, err := c.Status(t.Context(), web)
		require.NoError(t, err)
		require.Equal(t, run.ID, status.Run.ID)
		require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
		_, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrCancelled)
		_, err = c.Status(t.Context(), web)
		require.ErrorIs(t, err, rollout.ErrNotFound)
	})
}

func TestNumbersChangeInPlace(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		first := w.rolls(c, request("v1"))
		r := rollout.Request{Service: web, Spec: rollout.Spec{MinReplicas: new(3)}}
		begun := time.Now()
		run := w.rolls(c, r)
		require.Equal(t, first.Revision, run.Revision, "nothing is made")
		require.Less(t, time.Since(begun), 3*time.Second)
		ready, all := w.fleet.count("v1")
		require.Equal(t, []int{3, 3}, []int{ready, all})
		back, err := c.Rollback(t.Context(), run.ID, ann)
		require.NoError(t, err)
		_, err = c.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		status, err := c.Status(t.Context(), web)
		require.NoError(t, err)
		require.Equal(t, 1, *status.Service.Revisions[0].Spec.MinReplicas)
	})
}

func TestARequestThatIsRepeatedGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		r := request("v1")
		r.By.RequestID = "r1"
		run := w.rolls(c, r)
		again, err := w.controller().Start(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, run.ID, again.ID)
		second := w.rolls(c, request("v2"))
		by := rollout.By{RequestID: "r2"}
		back, err := c.Rollback(t.Context(), second.ID, by)
		require.NoError(t, err)
		_, err = c.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		once, err := c.Rollback(t.Context(), second.ID, by)
		require.NoError(t, err)
		require.Equal(t, back.ID, once.ID)
	})
}

func TestASecondRunIsBusy(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c, other := w.controller(), w.controller()
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		for _, c := range []*rollout.Controller{c, other} {
			_, err = c.Start(t.Context(), request("v3"))
			require.ErrorIs(t, err, rollout.ErrBusy)
			require.ErrorIs(t, c.Shift(t.Context(), web, run.Before, ann), rollout.ErrBusy)
			require.ErrorIs(t, c.Remove(t.Context(), web, "v1", ann), rollout.ErrBusy)
		}
		_, err = c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
	})
}

func TestWhatCannotBeIsRefusedAndNamed(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		spec := func(s rollout.Spec) rollout.Request { return rollout.Request{Service: web, Version: "v2", Spec: s} }
		strategy := func(s rollout.Strategy) rollout.Request {
			r := request("v2")
			r.Strategy = &s
			return r
		}
		for field, r := range map[string]rollout.Request{
			"Service.Name":       {},
			"Version":            {Service: web, Version: "latest"},
			"Share":              {Service: web, Share: new(101)},
			"MinReplicas":        spec(rollout.Spec{MinReplicas: new(-1)}),
			"MaxReplicas":        spec(rollout.Spec{MinReplicas: new(3), MaxReplicas: new(2)}),
			"MaxReplicas 0":      spec(rollout.Spec{MinReplicas: new(0), MaxReplicas: new(0)}),
			"Port":               spec(rollout.Spec{Port: new(70000)}),
			"CPU":                spec(rollout.Spec{CPU: new(math.NaN())}),
			"Memory":             spec(rollout.Spec{Memory: new(int64(-1))}),
			"Archive":            spec(rollout.Spec{Archive: &rollout.Archive{URL: "https://example.com"}}),
			"Image":              spec(rollout.Spec{Image: &rollout.Image{Tag: "1"}}),
			"Source.Dockerfile":  spec(rollout.Spec{Source: &rollout.Source{URL: "x", Dockerfile: "../Dockerfile"}}),
			"Spec":               spec(rollout.Spec{Command: []string{"a"}, Package: &rollout.Package{Name: "b"}}),
			"Addresses[1] https": spec(rollout.Spec{Addresses: []string{"http://127.0.0.1", "https://127.0.0.1"}}),
			"Addresses[0]":       spec(rollout.Spec{Addresses: []string{"http://ann:secret@127.0.0.1"}}),
			"Addresses query":    spec(rollout.Spec{Addresses: []string{"http://127.0.0.1/?a=b"}}),
			"Addresses host":     spec(rollout.Spec{Addresses: []string{"http:///path"}}),
			"Addresses twice":    spec(rollout.Spec{Addresses: []string{"http://127.0.0.1", "http://127.0.0.1"}}),
			"Environment":        spec(rollout.Spec{Environment: map[string]string{"A=B": "x"}}),
			"Health.Path":        spec(rollout.Spec{Health: &rollout.Health{Path: "up"}}),
			"Volumes":            spec(rollout.Spec{Volumes: []rollout.Volume{{Path: "data"}}}),
			"Scaling":            spec(rollout.Spec{Scaling: []rollout.Scaling{{Resource: "disk", Threshold: 1}}}),
			"Scaling.Threshold":  spec(rollout.Spec{Scaling: []rollout.Scaling{{Resource: "cpu"}}}),
			"Steps[1].Percent":   strategy(rollout.Strategy{Steps: []rollout.Step{{Percent: 50}, {Percent: 10}}}),
			"Steps[0].Match":     strategy(rollout.Strategy{Steps: []rollout.Step{{Match: []rollout.Match{{}}}}}),
			"Strategy.Surge":     strategy(rollout.Strategy{Surge: -1}),
			"Strategy.Tolerance": strategy(rollout.Strategy{Tolerance: rollout.Tolerance{Errors: -1}}),
		} {
			_, err := c.Start(t.Context(), r)
			require.ErrorIs(t, err, rollout.ErrInvalid, field)
			require.Contains(t, err.Error(), strings.Fields(field)[0])
		}
		for _, r := range []rollout.Request{
			{Service: web, Replace: "v9"}, {Service: web, Snapshot: "none"}, {Service: rollout.ServiceID{Name: "other"}, Replace: "v1"},
		} {
			_, err := c.Start(t.Context(), r)
			require.ErrorIs(t, err, rollout.ErrNotFound)
		}
		_, err := c.Start(t.Context(), rollout.Request{Service: rollout.ServiceID{Name: "other"}})
		require.ErrorIs(t, err, rollout.ErrMissing)
		first := rollout.Request{Service: rollout.ServiceID{Name: "other"}, Version: "v1", Share: new(50)}
		_, err = c.Start(t.Context(), first)
		require.True(t, errors.Is(err, rollout.ErrInvalid))
	})
}

func TestReplicasStayWithinSurgeAndUnavailable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ surge, unavailable, replicas, most, least int }{
		{0, 0, 4, 5, 4}, {2, 0, 4, 6, 4}, {0, 1, 4, 4, 3}, {0, 1, 1, 1, 0}, {1, 1, 3, 4, 2},
	} {
		for _, cancels := range []bool{false, true} {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, steps("v1", tt.replicas, 100))
				most, least := 0, 99
				w.fleet.call = func(string) error {
					ready1, all1 := w.fleet.count("v1")
					ready2, all2 := w.fleet.count("v2")
					most, least = max(most, all1+all2), min(least, ready1+ready2)
					return nil
				}
				r := steps("v2", tt.replicas, 10, 50, 100)
				r.Strategy.Surge, r.Strategy.Unavailable = tt.surge, tt.unavailable
				if cancels {
					r.Strategy.Steps[1].Hold = time.Hour
				}
				run, err := c.Start(t.Context(), r)
				require.NoError(t, err)
				if cancels {
					time.Sleep(time.Minute)
					require.NoError(t, c.Cancel(t.Context(), run.ID, ann))
				}
				run, _ = c.Wait(t.Context(), run.ID)
				synctest.Wait()
				if cancels && tt.replicas > 1 {
					require.Equal(t, rollout.StateCancelled, run.State)
				}
				require.True(t, run.State.Done())
				if !cancels || tt.surge == 0 && tt.unavailable > 0 {
					require.LessOrEqual(t, most, tt.most, "%v", tt)
				}
				require.GreaterOrEqual(t, least, tt.least, "%v", tt)
				ready1, _ := w.fleet.count("v1")
				ready2, _ := w.fleet.count("v2")
				require.Equal(t, tt.replicas, ready1+ready2)
			})
		}
	}
}

func TestAddressesSayHowManyReplicasThereAre(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		at := func(addresses ...string) rollout.Request {
			return rollout.Request{Service: web, Version: "v1", Spec: rollout.Spec{Addresses: addresses}}
		}
		run := w.rolls(c, at("http://one", "http://two"))
		require.Equal(t, 2, *run.Spec.MinReplicas)
		require.Equal(t, 2, *run.Spec.MaxReplicas)
		run = w.rolls(c, at("http://three", "http://four", "http://five"))
		require.Equal(t, []string{"http://three", "http://four", "http://five"}, run.Spec.Addresses)
		require.Equal(t, 3, *run.Spec.MinReplicas)
		_, err := c.Roll(t.Context(), at("http://three", "http://four", "http://five"))
		require.ErrorIs(t, err, rollout.ErrUpToDate)
		few := at("http://six", "http://seven")
		few.Spec.MinReplicas = new(1)
		run = w.rolls(c, few)
		require.Equal(t, []int{1, 1}, []int{*run.Spec.MinReplicas, *run.Spec.MaxReplicas})
		run = w.rolls(c, rollout.Request{Service: web, Spec: rollout.Spec{Command: []string{"web"}}})
		require.Nil(t, run.Spec.Addresses)
	})
}
