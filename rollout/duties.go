package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// orders are what is to be done for a service without a run, and when it is to
// be looked at again though nothing changes.
type orders struct {
	replicas map[string]int // by revision
	sleeps   bool           // some are to have no replica, because nobody asks for the service
	expire   bool           // what was replaced is kept no more
	due      time.Time
}

func (o *orders) by(at time.Time) {
	if o.due.IsZero() || at.Before(o.due) {
		o.due = at
	}
}

// worksOn reports whether this process works on a run of the service.
func (c *Controller) worksOn(id ServiceID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.live {
		if r.k.held.Lease().Item == itemOf(id) {
			return true
		}
	}
	return false
}

// duties finds out what the time, the load and who waits ask for.
func (c *Controller) duties(ctx context.Context, svc Service, v view) orders {
	now, o := time.Now(), orders{replicas: map[string]int{}}
	c.expiry(svc, now, &o)
	scales := slices.ContainsFunc(svc.Revisions, func(r Revision) bool { return !r.Replaced && len(r.Spec.Scaling) > 0 })
	sleeps := svc.sleeps()
	if !scales && !sleeps {
		return o
	}
	c.mu.Lock()
	k := c.knows(svc.ID)
	look := now.Sub(k.scaled) >= scaleInterval
	if look {
		k.scaled = now
	}
	o.by(k.scaled.Add(scaleInterval))
	c.mu.Unlock()
	if scales && look {
		o.replicas = c.scaled(&svc, v, now)
	}
	if sleeps {
		c.sleep(ctx, svc, now, &o)
	}
	return o
}

// expiry finds out whether what was replaced is still kept. Once this process
// has read until when, a clock that jumps changes nothing.
func (c *Controller) expiry(svc Service, now time.Time, o *orders) {
	if svc.KeptUntil.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.knows(svc.ID)
	if !k.kept.Equal(svc.KeptUntil) {
		k.kept, k.expires = svc.KeptUntil, now.Add(max(0, svc.KeptUntil.Sub(now)))
	}
	if o.expire = !now.Before(k.expires); !o.expire {
		o.by(k.expires)
	}
}

// sleeps reports whether a service stops while nobody asks for it: if all that
// it sends requests to may have no replica.
func (s *Service) sleeps() bool {
	for _, rev := range s.awake() {
		if *rev.Spec.MinReplicas > 0 {
			return false
		}
	}
	return len(s.Split.Weights) > 0
}

// awake are the revisions that requests go to.
func (s *Service) awake() (all []*Revision) {
	reached := s.reachable(s.table(nil).Split)
	for i := range s.Revisions {
		if reached[s.Revisions[i].ID.Run] {
			all = append(all, &s.Revisions[i])
		}
	}
	return all
}

// sleep finds out whether an idle service stops, or one that is asked for
// begins. Nothing is idle that has a request or a tunnel open, however long that
// lasts. This process knows of its own Router only.
func (c *Controller) sleep(ctx context.Context, svc Service, now time.Time, o *orders) {
	stats, err := c.config.Router.Stats(ctx, svc.ID)
	if err != nil {
		return // what is not counted is never idle
	}
	served := int64(0)
	for _, counts := range stats.Revisions {
		served += counts.Requests + counts.Cancelled
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k, running := c.knows(svc.ID), 0
	for _, rev := range svc.awake() {
		running += rev.Replicas
	}
	if served != k.served || stats.Waiting > 0 || stats.Open > 0 || k.idle.IsZero() {
		k.served, k.idle = served, now
	}
	k.sleeping = running == 0
	for _, rev := range svc.awake() {
		switch {
		case stats.Waiting > 0 && rev.Replicas == 0:
			o.replicas[rev.ID.Run] = 1
		case rev.Replicas > 0 && now.Sub(k.idle) >= c.config.SleepAfter:
			o.replicas[rev.ID.Run], o.sleeps = 0, true
		case rev.Replicas > 0:
			o.by(k.idle.Add(c.config.SleepAfter))
		}
	}
	if running == 0 && stats.Waiting == 0 {
		o.due = time.Time{} // the Router tells
		if !svc.KeptUntil.IsZero() {
			o.by(k.expires)
		}
	}
}

// idle reports whether nothing is open at this process's Router, and nothing
// waits.
func (c *Controller) idle(ctx context.Context, id ServiceID) bool {
	stats, err := c.config.Router.Stats(ctx, id)
	return err == nil && stats.Open == 0 && stats.Waiting == 0
}

// act does under the lease what is to be done for a service without a run.
func (c *Controller) act(ctx context.Context, seen Service, o orders) error {
	held, err := c.hold(ctx, seen.ID)
	if err != nil {
		return err
	}
	run, live, err := c.liveRun(ctx, seen.ID)
	if err != nil {
		c.release(held)
		return err
	}
	if live {
		return c.takeUp(held, run)
	}
	defer c.release(held)
	svc, err := c.config.RunStore.Service(ctx, seen.ID)
	if err != nil {
		return err
	}
	k := c.keeper(held, svc, nil)
	defer k.close()
	if o.sleeps && !c.idle(ctx, svc.ID) { // it has been asked for meanwhile
		c.touch(svc.ID)
		return nil
	}
	if svc.Rev == seen.Rev {
		if err := k.obey(o); err != nil {
			return err
		}
	} else {
		c.touch(seen.ID) // and see what there is to do now
	}
	v, err := k.settle(ctx, drainTimeout, everything)
	for _, s := range v.of {
		err = errors.Join(err, s.err)
	}
	return err
}

// obey writes what is to be done.
func (k *keeper) obey(o orders) error {
	if len(o.replicas) == 0 && !o.expire {
		return nil
	}
	return k.save(func(_ *Run, svc *Service) ([]Event, error) {
		message := "what was replaced is kept no more"
		for run, n := range o.replicas {
			if rev := svc.revision(run); rev != nil {
				message = fmt.Sprintf("version %q has %s, not %d", rev.ID.Version, many(n, "replica"), rev.Replicas)
				rev.Replicas = n
			}
		}
		for i := range svc.Revisions {
			if rev := &svc.Revisions[i]; o.expire && rev.Replaced {
				rev.Replicas = 0
			}
		}
		if o.expire {
			svc.KeptUntil = time.Time{}
		}
		return []Event{{Kind: EventService, Message: message}}, nil
	})
}

// untold tells OnFinish of runs whose process died before it could: it has had
// its time.
func (c *Controller) untold(ctx context.Context, svc Service, o *orders) error {
	if len(svc.Untold) == 0 {
		return nil
	}
	c.mu.Lock()
	k := c.knows(svc.ID)
	if k.untold != svc.Untold[0] {
		k.untold, k.noticed = svc.Untold[0], time.Now()
	}
	due := k.noticed.Add(c.config.LockTTL)
	c.mu.Unlock()
	if time.Now().Before(due) {
		o.by(due)
		return nil
	}
	svc, err := c.config.RunStore.Service(ctx, svc.ID) // that somebody was told is no event
	if err != nil {
		return err
	}
	var failed error
	for _, id := range svc.Untold {
		run, err := c.Get(ctx, id)
		switch {
		case err == nil:
			c.tell(run, false)
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNotFound): // and stays so
			c.config.Logger.ErrorContext(ctx, "rollout: nobody can be told how a run has ended", "service", svc.ID.String(), "run", id, "err", err)
			failed = errors.Join(failed, c.forgetUntold(ctx, svc.ID, id))
		default:
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
