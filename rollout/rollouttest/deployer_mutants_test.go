package rollouttest_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// brokenDeployer is a Deployer some of whose methods are replaced.
type brokenDeployer struct {
	rollout.Deployer
	check   func(ctx context.Context, id rollout.RevisionID, s rollout.Spec) ([]string, error)
	ensure  func(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error
	observe func(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error)
	stop    func(ctx context.Context, id rollout.RevisionID, replicas []string, grace time.Duration) error
	logs    func(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error)
	changed func(ctx context.Context) <-chan struct{}
}

func (b *brokenDeployer) Check(ctx context.Context, id rollout.RevisionID, s rollout.Spec) ([]string, error) {
	return b.check(ctx, id, s)
}

func (b *brokenDeployer) Ensure(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
	return b.ensure(ctx, id, s, n)
}

func (b *brokenDeployer) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	return b.observe(ctx, s)
}

func (b *brokenDeployer) Stop(ctx context.Context, id rollout.RevisionID, replicas []string, grace time.Duration) error {
	return b.stop(ctx, id, replicas, grace)
}

func (b *brokenDeployer) Logs(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error) {
	return b.logs(ctx, id, q)
}

func (b *brokenDeployer) Changed(ctx context.Context) <-chan struct{} { return b.changed(ctx) }

func broken(d rollout.Deployer, breaks func(d rollout.Deployer, b *brokenDeployer)) rollout.Deployer {
	b := &brokenDeployer{
		Deployer: d, check: d.Check, ensure: d.Ensure, observe: d.Observe, stop: d.Stop, logs: d.Logs, changed: d.Changed,
	}
	breaks(d, b)
	return b
}

// of are the replicas of a revision.
func of(d rollout.Deployer, id rollout.RevisionID) (names []string) {
	all, _ := d.Observe(context.Background(), id.Service)
	for _, r := range all {
		if r.Revision == id {
			names = append(names, r.ID)
		}
	}
	return names
}

// badCluster is a cluster that breaks replaces methods of.
func badCluster(what, caught string, breaks func(d rollout.Deployer, b *brokenDeployer)) provetest.Mutant {
	h := simulated(func(d *memory.Deployer) rollout.Deployer { return broken(d, breaks) })
	return provetest.Mutant{What: what, Caught: caught, Cases: h.Cases()}
}

// ensuring is a cluster with another Ensure.
func ensuring(what, caught string, ensure func(d rollout.Deployer, id rollout.RevisionID, s rollout.Spec, n int) error) provetest.Mutant {
	return badCluster(what, caught, func(d rollout.Deployer, b *brokenDeployer) {
		b.ensure = func(_ context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
			return ensure(d, id, s, n)
		}
	})
}

// observing is a cluster that shows its replicas otherwise.
func observing(what, caught string, change func(r *rollout.Replica)) provetest.Mutant {
	return badCluster(what, caught, func(d rollout.Deployer, b *brokenDeployer) {
		b.observe = func(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
			all, err := d.Observe(ctx, s)
			for i := range all {
				change(&all[i])
			}
			return all, err
		}
	})
}

// stopping is a cluster with another Stop.
func stopping(what, caught string, stop func(d rollout.Deployer, id rollout.RevisionID, replicas []string) error) provetest.Mutant {
	return badCluster(what, caught, func(d rollout.Deployer, b *brokenDeployer) {
		b.stop = func(_ context.Context, id rollout.RevisionID, replicas []string, _ time.Duration) error {
			return stop(d, id, replicas)
		}
	})
}

// badAddresses is what is only seen on addresses.
func badAddresses(what, caught string, breaks func(d rollout.Deployer, b *brokenDeployer)) provetest.Mutant {
	h := addressed(func(d *static.Deployer) rollout.Deployer { return broken(d, breaks) })
	return provetest.Mutant{What: what, Caught: caught, Cases: h.Cases()}
}

func TestEveryCaseOfRunDeployerCatchesADeployerThatIsBrokenOnPurpose(t *testing.T) {
	t.Parallel()
	sound := simulated(func(d *memory.Deployer) rollout.Deployer { return d }).Cases()
	sound = append(sound, addressed(func(d *static.Deployer) rollout.Deployer { return d }).Cases()...)
	provetest.Prove(t, sound, slices.Concat(brokenEnsures(), brokenStops(), brokenViews(), brokenWatches()))
}

func brokenEnsures() []provetest.Mutant {
	background := context.Background()
	return []provetest.Mutant{
		badCluster("starts what it checks", "check changes nothing", func(d rollout.Deployer, b *brokenDeployer) {
			b.check = func(ctx context.Context, id rollout.RevisionID, s rollout.Spec) ([]string, error) {
				return nil, d.Ensure(ctx, id, s, 1)
			}
		}),
		ensuring("adds one and no more", "ensure adds what is missing",
			func(d rollout.Deployer, id rollout.RevisionID, s rollout.Spec, n int) error {
				return d.Ensure(background, id, s, min(n, 1))
			}),
		ensuring("begins anew", "ensure adds what is missing",
			func(d rollout.Deployer, id rollout.RevisionID, s rollout.Spec, n int) error {
				_ = d.Stop(background, id, of(d, id), 0)
				return d.Ensure(background, id, s, n)
			}),
		ensuring("takes away what is too much", "ensure takes nothing away",
			func(d rollout.Deployer, id rollout.RevisionID, s rollout.Spec, n int) error {
				if all := of(d, id); len(all) > n {
					return d.Stop(background, id, all[n:], 0)
				}
				return d.Ensure(background, id, s, n)
			}),
		badCluster("counts first and adds later", "many who ensure the same get it once", func(d rollout.Deployer, b *brokenDeployer) {
			turn := make(chan struct{}, 1)
			b.ensure = func(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
				missing := n - len(of(d, id))
				time.Sleep(time.Second)
				turn <- struct{}{}
				defer func() { <-turn }()
				return d.Ensure(ctx, id, s, len(of(d, id))+missing)
			}
		}),
		ensuring("waits for what it has added", "ensure does not wait",
			func(d rollout.Deployer, id rollout.RevisionID, s rollout.Spec, n int) error {
				defer time.Sleep(time.Minute)
				return d.Ensure(background, id, s, n)
			}),
		badCluster("counts what was stopped", "what was stopped is added again", func(d rollout.Deployer, b *brokenDeployer) {
			made := 0
			b.ensure = func(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
				missing := n - made
				made = max(n, made)
				return d.Ensure(ctx, id, s, len(of(d, id))+missing)
			}
		}),
		badAddresses("refuses nothing", "what cannot run at all is refused", func(_ rollout.Deployer, b *brokenDeployer) {
			b.check = func(context.Context, rollout.RevisionID, rollout.Spec) ([]string, error) { return nil, nil }
		}),
	}
}

func brokenStops() []provetest.Mutant {
	background := context.Background()
	const stops = "stop ends what it names and nothing else"
	return []provetest.Mutant{
		stopping("stops all of a revision", stops, func(d rollout.Deployer, id rollout.RevisionID, _ []string) error {
			return d.Stop(background, id, of(d, id), 0)
		}),
		stopping("stops nothing before it returns", stops, func(d rollout.Deployer, id rollout.RevisionID, replicas []string) error {
			time.AfterFunc(time.Second, func() { _ = d.Stop(background, id, replicas, 0) })
			return nil
		}),
		stopping("starts again what was stopped", stops, func(d rollout.Deployer, id rollout.RevisionID, replicas []string) error {
			n := len(of(d, id))
			time.AfterFunc(time.Second, func() { _ = d.Ensure(background, id, rollout.Spec{}, n) })
			return d.Stop(background, id, replicas, 0)
		}),
		stopping("does not know what is gone", "what is gone is stopped", func(d rollout.Deployer, id rollout.RevisionID, replicas []string) error {
			for _, r := range replicas {
				if !slices.Contains(of(d, id), r) {
					return fmt.Errorf("%w: %s", rollout.ErrNotFound, r)
				}
			}
			return d.Stop(background, id, replicas, 0)
		}),
		stopping("stops for other revisions", "services and revisions do not know of each other",
			func(d rollout.Deployer, id rollout.RevisionID, replicas []string) error {
				all, _ := d.Observe(background, id.Service)
				for _, r := range all {
					_ = d.Stop(background, r.Revision, replicas, 0)
				}
				return nil
			}),
	}
}

func brokenViews() []provetest.Mutant {
	const apart = "services and revisions do not know of each other"
	return []provetest.Mutant{
		badCluster("knows names alone", apart, func(d rollout.Deployer, b *brokenDeployer) {
			b.observe = func(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
				all, err := d.Observe(ctx, s)
				for _, env := range []string{"prod", "test"} {
					if env != s.Env {
						more, _ := d.Observe(ctx, rollout.ServiceID{Env: env, Name: s.Name})
						all = append(all, more...)
					}
				}
				return all, err
			}
		}),
		observing("has a clock of its own", "a replica gets ready", func(r *rollout.Replica) {
			r.StartedAt = r.StartedAt.In(time.FixedZone("", 3600))
		}),
		observing("has no address", "a replica gets ready", func(r *rollout.Replica) { r.Endpoint = strings.TrimPrefix(r.Endpoint, "http://") }),
		observing("gives up what is ready", "a replica gets ready", func(r *rollout.Replica) { r.Hopeless = true }),
		observing("gives up what it still tries", "a replica that does not get ready says why",
			func(r *rollout.Replica) { r.State, r.Hopeless = rollout.ReplicaStarting, true }),
		observing("takes what has started for ready", "a replica that does not get ready says why",
			func(r *rollout.Replica) { r.State = rollout.ReplicaReady }),
		observing("says nothing", "a replica that does not get ready says why", func(r *rollout.Replica) { r.Failure = "" }),
		badCluster("returns its own list", "what is given and returned is the caller's to change", func(d rollout.Deployer, b *brokenDeployer) {
			var kept []rollout.Replica
			b.observe = func(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
				all, err := d.Observe(ctx, s)
				if kept == nil && len(all) == 2 && all[0].State == rollout.ReplicaReady && all[1].State == rollout.ReplicaReady {
					kept = all
				}
				if kept != nil {
					return kept, nil
				}
				return all, err
			}
		}),
		badCluster("has one length of output", "output is read from its last lines on", func(d rollout.Deployer, b *brokenDeployer) {
			b.logs = func(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error) {
				return d.Logs(ctx, id, rollout.LogQuery{Tail: 5000, Follow: q.Follow})
			}
		}),
		badCluster("follows nothing", "output is followed until its context ends", func(d rollout.Deployer, b *brokenDeployer) {
			b.logs = func(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error) {
				return d.Logs(ctx, id, rollout.LogQuery{Tail: q.Tail})
			}
		}),
		badAddresses("shows no output", "output that is not there is unsupported", func(_ rollout.Deployer, b *brokenDeployer) {
			b.logs = func(context.Context, rollout.RevisionID, rollout.LogQuery) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader("")), nil
			}
		}),
	}
}

func brokenWatches() []provetest.Mutant {
	silent := func(_ rollout.Deployer, b *brokenDeployer) {
		b.changed = func(ctx context.Context) <-chan struct{} {
			c := make(chan struct{})
			context.AfterFunc(ctx, func() { close(c) })
			return c
		}
	}
	return []provetest.Mutant{
		badCluster("tells nobody", "who watches is told", silent),
		badCluster("tells nobody of a failure", "who watches is told of a failure", silent),
		badCluster("tells one", "who watches is told", func(d rollout.Deployer, b *brokenDeployer) {
			first := true
			b.changed = func(ctx context.Context) <-chan struct{} {
				if first {
					first = false
					return d.Changed(ctx)
				}
				return make(chan struct{})
			}
		}),
		badCluster("tells of each change", "a watch tells at most once in 10 milliseconds", func(d rollout.Deployer, b *brokenDeployer) {
			c := make(chan struct{}, 1)
			b.changed = func(context.Context) <-chan struct{} { return c }
			b.ensure = func(ctx context.Context, id rollout.RevisionID, s rollout.Spec, n int) error {
				c <- struct{}{}
				return d.Ensure(ctx, id, s, n)
			}
			b.stop = func(ctx context.Context, id rollout.RevisionID, replicas []string, grace time.Duration) error {
				c <- struct{}{}
				return d.Stop(ctx, id, replicas, grace)
			}
		}),
		badCluster("watches for ever", "a watch is closed with its context", func(d rollout.Deployer, b *brokenDeployer) {
			b.changed = func(ctx context.Context) <-chan struct{} { return d.Changed(context.WithoutCancel(ctx)) }
		}),
	}
}
