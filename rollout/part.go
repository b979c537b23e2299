package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// ending is a Stop that is under way. Who looks after the service goes on
// meanwhile, and its end is that of the keeper.
type ending struct {
	done chan struct{}
	err  error
}

// part takes surplus replicas away, each once its requests are done or its time
// is over. It returns when they are gone, or when ctx ends: what is then still
// there is surplus again. A Stop that has begun goes on.
func (k *keeper) part(ctx context.Context, surplus []Replica, timeout time.Duration) error {
	last := time.Now().Add(timeout)
	for _, r := range surplus {
		if _, leaves := k.leaving[r.ID]; !leaves && r.State != ReplicaStopping {
			k.leaving[r.ID] = last
		}
	}
	for _, r := range surplus {
		if due, leaves := k.leaving[r.ID]; leaves && due.Before(last) {
			last = due
		}
	}
	err := k.drain(ctx, surplus, last)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && time.Now().Before(last) {
		return fmt.Errorf("draining: %w", err)
	}
	if err := k.act(); err != nil {
		return err
	}
	return k.stop(ctx, surplus)
}

// drain waits until nothing is open at replicas, or their time is over. What
// serves another revision too goes on serving it.
func (k *keeper) drain(ctx context.Context, replicas []Replica, last time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, last)
	defer cancel()
	for before := -1; ; {
		table, _ := k.c.lastTable(k.svc.ID)
		var endpoints []string
		for _, r := range replicas { // one that is being stopped had its time
			if r.State != ReplicaStopping && r.Endpoint != "" && !table.serves(r.Endpoint, r.Revision.Run) {
				endpoints = append(endpoints, r.Endpoint)
			}
		}
		if len(endpoints) == 0 {
			return nil
		}
		err := k.c.config.Router.Drain(ctx, k.svc.ID, endpoints...)
		if !errors.Is(err, ErrStale) || len(endpoints) == before {
			return err
		}
		before = len(endpoints) // another revision may have taken one up meanwhile
	}
}

// stop ends replicas, unless that has begun, and waits for it.
func (k *keeper) stop(ctx context.Context, replicas []Replica) error {
	byRevision := map[RevisionID][]string{}
	for _, r := range replicas {
		if k.ends[r.ID] == nil {
			byRevision[r.Revision] = append(byRevision[r.Revision], r.ID)
		}
	}
	for id, names := range byRevision {
		slices.Sort(names)
		e := &ending{done: make(chan struct{})}
		for _, name := range names {
			k.ends[name] = e
		}
		go func() {
			defer close(e.done)
			if err := k.c.config.Deployer.Stop(k.ended, id, names, stopGrace); err != nil {
				e.err = fmt.Errorf("stopping replicas of version %q: %w", id.Version, err)
			}
		}()
	}
	var failed error
	for _, r := range replicas {
		e := k.ends[r.ID]
		select {
		case <-e.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		delete(k.ends, r.ID)
		if delete(k.leaving, r.ID); !errors.Is(failed, e.err) {
			failed = errors.Join(failed, e.err)
		}
	}
	return failed
}

// partTime is for how long nobody looks after a service while replicas of it are
// drained and stopped.
const partTime = 2 * time.Second

// settle looks, and takes away what is surplus, until nothing is that takes wants
// to be gone, or ctx ends. It gives up on what was drained and stopped, and is
// still there.
func (k *keeper) settle(ctx context.Context, timeout time.Duration, takes func(Replica) bool) (view, error) {
	last := time.Now().Add(timeout + tidyTime)
	for wait := time.Duration(0); ; wait = min(max(2*wait, 10*time.Millisecond), time.Second) {
		if wait > 0 { // what was stopped may still be there
			if err := pause.For(ctx, wait); err != nil {
				return view{}, err
			}
		}
		v, err := k.look(ctx, 0)
		if err != nil {
			return v, err
		}
		surplus := slices.DeleteFunc(slices.Clone(v.surplus), func(r Replica) bool { return !takes(r) })
		if len(surplus) == 0 {
			return v, k.forget(ctx, v)
		}
		if time.Now().After(last) {
			return v, fmt.Errorf("%s %s not gone after %s", many(len(surplus), "replica"), are(len(surplus)), timeout+tidyTime)
		}
		parting, cancel := context.WithTimeout(ctx, partTime)
		err = k.part(parting, surplus, timeout)
		late := parting.Err() != nil
		cancel()
		if err != nil && (!late || ctx.Err() != nil) {
			return v, err
		}
	}
}

// tidyTime bounds how long a run that has ended looks after what it leaves, and
// how long what was drained may take to end.
const tidyTime = time.Minute

// tidy takes away what the run does not need any more, until somebody wants the
// lease. What is left of it is found by the next that looks after the service.
func (k *keeper) tidy(run Run) {
	k.run = nil // its last event is written
	ctx, cancel := context.WithTimeout(k.held.Context(), tidyTime)
	defer cancel()
	defer context.AfterFunc(k.c.door.Stopping(), cancel)()
	defer k.c.yielding(run.Service, cancel)()
	if _, err := k.settle(ctx, run.Strategy.DrainTimeout, everything); err != nil && ctx.Err() == nil {
		k.c.log(slog.LevelWarn, "not tidy yet", run, "err", err)
	}
}

// close ends what is under way: whoever has the lease next goes on with it.
func (k *keeper) close() {
	k.end()
	for _, e := range k.ends {
		<-e.done
	}
}
