package process

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// Stop implements rollout.Deployer: SIGTERM for the whole group, SIGKILL after
// grace, and for what has left the group at once. A replica is gone, and
// forgotten, when nothing of it is left.
func (d *Deployer) Stop(ctx context.Context, id rollout.RevisionID, replicas []string, grace time.Duration) error {
	if err := d.lock(ctx); err != nil {
		return err
	}
	d.working.Add(1)
	defer d.working.Done()
	var leaving []*replica
	for _, r := range d.replicas {
		if r.Revision != id || !slices.Contains(replicas, r.ID) {
			continue
		}
		leaving = append(leaving, r)
		if r.State != rollout.ReplicaStopping {
			r.State, r.Failure, r.until = rollout.ReplicaStopping, "", time.Now().Add(max(grace, 0))
			r.cancel()
			d.board.Tell()
		}
	}
	d.mu.Unlock()
	ctx, done := d.within(ctx)
	defer done()
	failed := make(chan error, len(leaving))
	for _, r := range leaving {
		go func() { failed <- r.stop(ctx) }()
	}
	var errs []error
	for range leaving {
		errs = append(errs, <-failed)
	}
	return because(ctx, errors.Join(errs...))
}

// stop ends a replica that is not to be supervised any more.
func (r *replica) stop(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.turn }()
	select {
	case <-r.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return r.finish(ctx)
}

// finish ends what is left of a replica, and forgets it. The caller has its turn.
func (r *replica) finish(ctx context.Context) error {
	d := r.d
	d.mu.Lock()
	c, there := r.running, d.replicas[r.ID] == r
	d.mu.Unlock()
	if !there {
		return nil // somebody else has done it
	}
	if c != nil {
		asked := r.asked
		r.asked = true
		if err := c.end(ctx, r.until, asked); err != nil {
			return err
		}
	}
	if err := d.cgroups.remove(ctx, r.ID); err != nil {
		return err
	}
	if err := d.store.Remove(ctx, r.ID); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.replicas, r.ID)
	d.forget(r)
	d.mu.Unlock()
	d.board.Tell()
	return r.leave()
}

// forget lets go of what was prepared for a revision that has no replicas, unless
// it sleeps: nothing that came later has replaced it. What it has replaced itself
// may be kept for a while, and still run. The mutex is held.
func (d *Deployer) forget(last *replica) {
	replaced := false
	for _, r := range d.replicas {
		switch {
		case r.Revision == last.Revision:
			return
		case r.Revision.Service == last.Revision.Service && r.State != rollout.ReplicaStopping && r.since.After(last.since):
			replaced = true
		}
	}
	if least := last.spec.MinReplicas; !replaced && least != nil && *least == 0 {
		d.fallAsleep(last)
	}
	d.left = true
}

// fallAsleep keeps what a revision needs that may wake, and lets go of the oldest
// of its service if there are too many. The mutex is held.
func (d *Deployer) fallAsleep(last *replica) {
	d.asleep[last.Revision] = asleep{last, time.Now().Add(keptAsleep)}
	var oldest rollout.RevisionID
	kept := 0
	for id, s := range d.asleep {
		if id.Service != last.Revision.Service {
			continue
		}
		if kept++; kept == 1 || s.until.Before(d.asleep[oldest].until) {
			oldest = id
		}
	}
	if kept > mostAsleep {
		delete(d.asleep, oldest)
	}
}
