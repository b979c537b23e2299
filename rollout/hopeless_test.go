package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// dooms makes a replica one that its Deployer has given up.
func dooms(r *rollout.Replica) {
	r.State, r.Failure, r.Hopeless = rollout.ReplicaFailing, "no such program", true
}

func TestNoRunWaitsForAReplicaThatCanNeverBegin(t *testing.T) {
	t.Parallel()
	steps := func(at ...rollout.Step) *rollout.Strategy {
		return &rollout.Strategy{Deadline: time.Hour, Steps: append(at, rollout.Step{Percent: 100})}
	}
	for name, tt := range map[string]struct {
		strategy *rollout.Strategy
		begins   func(*rollout.Replica) // of v2: the first is v2-2
		reason   string
		in       rollout.State
	}{
		"before it has traffic": {
			steps(rollout.Step{Percent: 10, Replicas: 1}), dooms,
			"a replica can never begin: no such program", rollout.StateHealthWait,
		},
		"beside another that fails": {
			steps(rollout.Step{Percent: 10, Replicas: 3}),
			func(r *rollout.Replica) {
				if r.State, r.Failure = rollout.ReplicaFailing, "it says 503"; r.ID == "v2-3" {
					dooms(r)
				}
			},
			"a replica can never begin: no such program", rollout.StateHealthWait,
		},
		"beside another that begins anew": {
			steps(rollout.Step{Percent: 10, Replicas: 2}),
			func(r *rollout.Replica) {
				if r.State, r.Failure = rollout.ReplicaFailing, "it says 503"; r.ID == "v2-3" {
					r.Restarts, r.Failure = 5, "exit 1"
				}
			},
			"a replica began anew 5 times: exit 1", rollout.StateHealthWait,
		},
		"when a step adds to those that serve": {
			steps(rollout.Step{Percent: 10, Replicas: 1}, rollout.Step{Percent: 50, Replicas: 2}),
			func(r *rollout.Replica) {
				if r.ID == "v2-3" {
					dooms(r)
				}
			},
			"a replica can never begin: no such program", rollout.StateShifting,
		},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.rolls(c, request("v1"))
				var failed time.Time
				w.fleet.locked(func() {
					w.fleet.begins = func(r *rollout.Replica) {
						if r.Revision.Version == "v2" {
							if tt.begins(r); r.State == rollout.ReplicaFailing {
								failed = time.Now()
							}
						}
					}
				})
				r := request("v2")
				three := 3
				r.Spec.MaxReplicas = &three
				r.Strategy = tt.strategy
				run, err := c.Roll(t.Context(), r)
				require.ErrorIs(t, err, rollout.ErrFailed)
				require.Equal(t, tt.reason, run.Reason)
				require.Less(t, time.Since(failed), 5*time.Second, "not the Deadline")
				var last rollout.State
				for _, s := range run.States {
					if s.State == rollout.StateRollingBack {
						break
					}
					last = s.State
				}
				require.Equal(t, tt.in, last)
				require.Equal(t, "v1 100", shares(w.router.table(web).Split))
			})
		})
	}
}

func TestAReplicaThatCanNeverBeginAgainEndsItsStep(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller()
		w.rolls(c, request("v1"))
		r := request("v2")
		three := 3
		r.Spec.MaxReplicas = &three
		r.Strategy = &rollout.Strategy{Steps: []rollout.Step{{Percent: 10, Replicas: 3, Hold: time.Hour}, {Percent: 100}}}
		run, err := c.Start(t.Context(), r)
		require.NoError(t, err)
		w.state(c, run.ID, rollout.StateAnalysing)
		w.fleet.change("v2", func(r *rollout.Replica) {
			switch r.ID {
			case "v2-2":
				r.State, r.Failure = rollout.ReplicaFailing, "it says 503"
			case "v2-3":
				dooms(r)
			}
		})
		begun := time.Now()
		run, err = c.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Equal(t, `a replica of version "v2" can never begin: no such program`, run.Reason)
		require.Less(t, time.Since(begun), 5*time.Second)
		require.Equal(t, "v1 100", shares(w.router.table(web).Split))
	})
}
