package static

import (
	"context"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/internal/ready"
)

// replica is an address in use. The embedded Replica is guarded by the mutex of
// its Deployer.
type replica struct {
	rollout.Replica
	cancel context.CancelFunc
	done   chan struct{} // closed when it is not probed any more
}

// name is the ID of an address as a replica of a revision.
func name(id rollout.RevisionID, endpoint string) string { return id.Run + "@" + endpoint }

// use begins to probe an address. The mutex is held.
func (d *Deployer) use(id rollout.RevisionID, endpoint string, h *rollout.Health) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{
		Replica: rollout.Replica{
			ID: name(id, endpoint), Revision: id, Endpoint: endpoint,
			State: rollout.ReplicaStarting, StartedAt: time.Now().UTC(),
		},
		cancel: cancel, done: make(chan struct{}),
	}
	health := rollout.Spec{Health: h}.Clone().Health
	d.replicas[r.ID] = r
	d.board.Tell()
	go func() {
		defer close(r.done)
		d.probe(ctx, r, endpoint, ready.Complete(health))
	}()
}

// probe asks a replica until ctx ends. One answer makes it ready, and one bad
// answer unready.
func (d *Deployer) probe(ctx context.Context, r *replica, endpoint string, h rollout.Health) {
	if h.Delay > 0 && pause.For(ctx, h.Delay) != nil {
		return
	}
	for {
		err := ready.Once(ctx, d.transport, endpoint, h)
		if ctx.Err() != nil {
			return
		}
		d.answered(r, err)
		if pause.For(ctx, h.Interval) != nil {
			return
		}
	}
}

func (d *Deployer) answered(r *replica, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := r.Replica
	switch {
	case r.State == rollout.ReplicaStopping:
	case err == nil:
		r.State, r.Failure = rollout.ReplicaReady, ""
	default:
		r.Failure = err.Error()
		if r.State == rollout.ReplicaReady {
			r.State = rollout.ReplicaFailing
		}
	}
	if r.Replica != was {
		d.board.Tell()
	}
}
