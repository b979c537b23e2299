package rollout

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// restInterval is how often the work on a run looks though it was told of
// nothing.
const restInterval = 5 * time.Second

// rest waits until something may have changed, but no longer than until, if
// that is set, and takes surplus replicas away meanwhile.
func (r *runner) rest(v view, until time.Time) error {
	return r.tolerate(r.nap(r.way(), v, until, r.c.door.Stopping().Done()))
}

// nap is a rest that ends with ctx, and as soon as something is over.
func (r *runner) nap(ctx context.Context, v view, until time.Time, over <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parted chan error
	if len(v.surplus) > 0 {
		parted = make(chan error, 1)
		go func() { parted <- r.k.part(ctx, v.surplus, r.k.run.Strategy.DrainTimeout) }()
	}
	wait := restInterval
	for _, at := range []time.Time{until, v.soon} {
		if !at.IsZero() {
			wait = min(wait, max(0, time.Until(at)))
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-parted:
		return err
	case _, more := <-r.changed:
		if !more {
			r.changed = nil
		}
	case _, more := <-r.asked:
		if !more {
			r.asked = nil
		}
	case <-r.nudge:
	case <-ctx.Done():
	case <-over:
	case <-timer.C:
	}
	cancel()
	if parted != nil {
		return <-parted
	}
	return nil
}

// tolerate lets pass what is tried again anyhow.
func (r *runner) tolerate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrCancelled) {
		return nil
	}
	if r.leaves(err) {
		return err
	}
	r.c.log(slog.LevelWarn, "trying again", *r.k.run, "err", err)
	return r.pause(time.Second)
}

// pause waits for some time, or until there is a wish.
func (r *runner) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.nudge:
	case <-r.way().Done():
	case <-r.c.door.Stopping().Done():
	}
	if r.c.door.Shut() {
		return errClosing
	}
	return cmp.Or(context.Cause(r.k.held.Context()), nil)
}

// upkeep looks after the service until something is over, ctx ends, or enough
// says so, whatever fails meanwhile, unless nobody knows what is written.
func (r *runner) upkeep(ctx context.Context, over <-chan struct{}, enough func() bool) error {
	wait := briefly // most of what is waited for is over at once
	for ctx.Err() == nil && !enough() {
		timer := time.NewTimer(wait)
		select {
		case <-over:
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		select {
		case <-over:
			return nil
		default:
		}
		v, err := r.look(ctx)
		if err == nil {
			err = r.nap(ctx, v, time.Time{}, over)
		}
		if unwritten(err) {
			return err
		}
		if wait = 0; err != nil {
			wait = time.Second
		}
	}
	return nil
}

// briefly is for how long nobody looks after a service without harm.
const briefly = 100 * time.Millisecond

// unwritten reports that nobody knows what is written, or may write.
func unwritten(err error) bool { return errors.Is(err, errStore) || errors.Is(err, errOvertaken) }

// look looks after the service, and wakes it if it was asleep when the run began
// and requests wait for it.
func (r *runner) look(ctx context.Context) (view, error) {
	v, err := r.k.look(ctx, r.minReady())
	if err != nil || !slices.ContainsFunc(r.k.svc.awake(), r.sleeps) {
		return v, err
	}
	stats, err := r.c.config.Router.Stats(ctx, r.k.svc.ID)
	if err != nil || stats.Waiting == 0 {
		return v, nil // what is not counted wakes nobody
	}
	r.c.mu.Lock()
	r.c.knows(r.k.svc.ID).idle = time.Now()
	r.c.mu.Unlock()
	err = r.note(EventProgress, "the service is asked for", func(_ *Run, svc *Service) {
		for _, rev := range svc.awake() {
			if r.sleeps(rev) {
				rev.Replicas, r.now.Numbers[rev.ID.Run] = 1, 1
			}
		}
	})
	if err != nil {
		return v, err
	}
	return r.k.look(ctx, r.minReady())
}

// sleeps reports whether a revision had no replica when the run began, and may
// have one: what must not run twice is not woken beside the new one.
func (r *runner) sleeps(rev *Revision) bool {
	n, known := r.now.Numbers[rev.ID.Run]
	fresh := r.k.revision()
	alone := r.k.run.Strategy.Surge == 0 && fresh != nil && fresh.ID != rev.ID && fresh.Replicas > 0
	return known && n == 0 && rev.Replicas == 0 && !alone
}
