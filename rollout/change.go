package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/internal/record"
)

// Shift sets shares, rules and stickiness of the versions there are, without a
// run. It returns ErrBusy while the service has one, and ErrInvalid for a share
// of what has nothing ready, and for one that rises above what the replicas that
// are ready can bear: they are to be as large a part of what a version with
// traffic has at most, or of Spec.MinReplicas if that is more. What is only asleep
// is woken.
//
// A version without a Run is its revision with the most traffic; of several the one
// that nothing has replaced, and then the newest. Every other revision has 0. A
// Rule without a Run goes on to follow its version, among what is ready.
func (c *Controller) Shift(ctx context.Context, s ServiceID, split Split, by By) error {
	split = split.Clone()
	return c.alter(ctx, s, by, "shares and rules are set", nothing, func(k *keeper, v view, svc *Service) error {
		return svc.shift(split, v)
	})
}

// shift puts a split that somebody wants into the record.
func (s *Service) shift(split Split, v view) error {
	if len(split.Rules) > maxRules {
		return invalid("Rules", "are %d, at most %d are allowed", len(split.Rules), maxRules)
	}
	if len(split.Weights) > maxRules {
		return invalid("Weights", "are %d, at most %d are allowed", len(split.Weights), maxRules)
	}
	want, sum := map[string]int{}, 0
	for _, w := range split.Weights {
		rev, err := s.named(w.Version, w.Run)
		if err != nil {
			return err
		}
		if err := within("Percent", w.Percent, 0, 100); err != nil {
			return err
		}
		if _, twice := want[rev.ID.Run]; twice {
			return invalid("Weights", "name version %q twice", w.Version)
		}
		if err := s.bears(rev, w.Percent, v.of[rev.ID.Run]); err != nil {
			return err
		}
		want[rev.ID.Run] = w.Percent
		sum += w.Percent
	}
	if sum != 100 {
		return invalid("Weights", "sum to %d, not to 100", sum)
	}
	for i, r := range split.Rules {
		rev, err := s.named(r.Version, r.Run)
		if err != nil {
			return err
		}
		split.Rules[i].Version = rev.ID.Version // without a Run it is for what the version will be
		if err := checkMatches("Rules", []Match{r.Match}); err != nil {
			return err
		}
		if r.Priority <= math.MinInt32 || r.Priority > math.MaxInt32 {
			return invalid("Rules", "have the priority %d: it is above %d, which is that of steps, and at most %d", r.Priority, math.MinInt32, math.MaxInt32)
		}
	}
	s.Split.Rules, s.Split.Sticky, s.Split.Weights = split.Rules, split.Sticky, nil
	for i := range s.Revisions {
		rev := &s.Revisions[i]
		n := want[rev.ID.Run]
		if n > 0 {
			rev.Replaced = false
			rev.Replicas = max(rev.Replicas, *rev.Spec.MinReplicas, 1)
		}
		s.Split.Weights = append(s.Split.Weights, Weight{Version: rev.ID.Version, Run: rev.ID.Run, Percent: n})
	}
	if !slices.ContainsFunc(s.Revisions, func(r Revision) bool { return r.Replaced }) {
		s.KeptUntil = time.Time{}
	}
	return s.table(nil).Check()
}

// bears refuses a share that is too large for the replicas that are ready.
func (s *Service) bears(rev *Revision, percent int, at *standing) error {
	asleep := *rev.Spec.MinReplicas == 0 && rev.Replicas == 0 && !rev.Replaced
	switch {
	case percent == 0 || asleep:
		return nil
	case at == nil || at.ready == 0:
		return invalid("Weights", "give version %q traffic, of which nothing is ready", rev.ID.Version)
	case percent <= s.Split.percent(rev.ID.Run):
		return nil
	}
	full := *rev.Spec.MinReplicas
	for _, r := range s.Revisions {
		if s.Split.percent(r.ID.Run) > 0 {
			full = max(full, r.Replicas)
		}
	}
	needed := min(ceil(full*percent, 100), *rev.Spec.MaxReplicas)
	if at.ready < needed {
		return invalid("Weights", "give version %q %d percent, for which %s %s to be ready: %d %s",
			rev.ID.Version, percent, many(needed, "replica"), are(needed), at.ready, are(at.ready))
	}
	return nil
}

// named finds a revision by its run, or the one that serves by its version.
func (s *Service) named(version, run string) (*Revision, error) {
	if run == "" {
		run = s.serving(version, nil)
	}
	rev := s.revision(run)
	if rev == nil || version != "" && rev.ID.Version != version {
		return nil, fmt.Errorf("%w: version %q of service %q", ErrNotFound, version, s.ID)
	}
	return rev, nil
}

// Hold makes requests of a service wait, for as long and as many as the Router
// allows, until Open.
func (c *Controller) Hold(ctx context.Context, s ServiceID, by By) error {
	return c.held(ctx, s, true, "requests wait", by)
}

// Open ends Hold.
func (c *Controller) Open(ctx context.Context, s ServiceID, by By) error {
	return c.held(ctx, s, false, "requests wait no more", by)
}

func (c *Controller) held(ctx context.Context, s ServiceID, held bool, what string, by By) error {
	return c.alter(ctx, s, by, what, nothing, func(_ *keeper, _ view, svc *Service) error {
		if svc.Held == held {
			return record.ErrSame
		}
		svc.Held = held
		return nil
	})
}

// Remove drains and ends a version that no weight and no rule sends traffic to,
// else ErrInvalid: Shift sends it elsewhere first. It returns ErrBusy while the
// service has a run. It waits for a minute and a half at most, and then returns
// why replicas are still there; and no longer than until somebody else wants to
// act on the service. What is left is recorded as removed: Run, the next run, or
// another Remove takes it away.
func (c *Controller) Remove(ctx context.Context, s ServiceID, version string, by By) error {
	of := func(r Replica) bool { return r.Revision.Version == version }
	return c.alter(ctx, s, by, fmt.Sprintf("version %q is removed", version), of, func(_ *keeper, _ view, svc *Service) error {
		return svc.remove(version)
	})
}

// RemoveService drains and ends all versions of a service, whatever traffic they
// have, and forgets it; its runs stay in the history. It returns ErrBusy while
// the service has a run, and waits no longer than Remove.
func (c *Controller) RemoveService(ctx context.Context, s ServiceID, by By) error {
	return c.alter(ctx, s, by, "the service is removed", everything, func(_ *keeper, _ view, svc *Service) error {
		for i := range svc.Revisions {
			svc.Revisions[i].Replaced, svc.Revisions[i].Replicas = true, 0
		}
		svc.Split, svc.Stable, svc.KeptUntil, svc.Held, svc.Path = Split{}, RevisionID{}, time.Time{}, false, ""
		return nil
	})
}

func (s *Service) remove(version string) error {
	found := false
	for i := range s.Revisions {
		rev := &s.Revisions[i]
		if rev.ID.Version != version {
			continue
		}
		if percent := s.Split.percent(rev.ID.Run); percent > 0 {
			return invalid("version", "%q has %d percent of the traffic: Shift it elsewhere first, or RemoveService", version, percent)
		}
		found, rev.Replaced, rev.Replicas = true, true, 0
	}
	if !found {
		return fmt.Errorf("%w: version %q of service %q", ErrNotFound, version, s.ID)
	}
	if slices.ContainsFunc(s.Split.Rules, func(r Rule) bool {
		rev, err := s.named(r.Version, r.Run)
		return err == nil && rev.ID.Version == version
	}) {
		return invalid("version", "%q is what a rule sends requests to", version)
	}
	return nil
}

// alter writes a change of a service that has no run, sets this process's
// Router, and waits for the replicas that the change takes away.
func (c *Controller) alter(ctx context.Context, s ServiceID, by By, what string, takes func(Replica) bool, change func(*keeper, view, *Service) error) error {
	by = by.bounded()
	ctx, leave, err := c.door.Enter(ctx)
	if err != nil {
		return ErrClosed
	}
	defer leave()
	if _, err := c.service(ctx, s); err != nil {
		return err
	}
	held, err := c.free(ctx, Request{Service: s})
	if err != nil {
		return err
	}
	defer c.release(held)
	defer c.touch(s)
	svc, err := c.service(ctx, s)
	if err != nil {
		return err
	}
	k := c.keeper(held, svc, nil)
	defer k.close()
	v, err := k.see(ctx)
	if err != nil {
		return err
	}
	err = k.save(func(_ *Run, svc *Service) ([]Event, error) {
		if err := change(k, v, svc); err != nil {
			return nil, err
		}
		svc.Generation++
		return []Event{{Kind: EventService, Actor: by.Actor, Message: said(what, by.Reason)}}, nil
	})
	if err != nil {
		return fmt.Errorf("service %q: %w", s, err)
	}
	return c.enact(ctx, k, takes)
}

// nothing and everything are what a change takes away.
func nothing(Replica) bool    { return false }
func everything(Replica) bool { return true }

// errYields ends a wait for what somebody else may take away too.
var errYields = errors.New("somebody wants the lease")

// enact brings a service to a record that was changed, and waits until what the
// change takes away is gone: until ctx ends, the Controller is shut down,
// somebody wants the lease, or nothing helps for a time. What is left then is
// surplus, and taken away by who looks after the service next.
func (c *Controller) enact(ctx context.Context, k *keeper, takes func(Replica) bool) error {
	ctx, done := c.door.Until(ctx)
	defer done()
	err := k.insist(ctx, func() error { _, err := k.look(ctx, 0); return err })
	if err != nil {
		return err
	}
	ctx, yield := context.WithCancelCause(ctx)
	defer yield(nil)
	defer c.yielding(k.svc.ID, func() { yield(errYields) })()
	err = k.insist(ctx, func() error { _, err := k.settle(ctx, drainTimeout, takes); return err })
	if errors.Is(err, errYields) && !unwritten(err) {
		return nil
	}
	return err
}

// insist calls f until it succeeds, ctx ends, nobody may act here any more, or it
// has failed for as long as settle takes at most.
func (k *keeper) insist(ctx context.Context, f func() error) error {
	for last := time.Now().Add(drainTimeout + tidyTime); ; {
		err := f()
		if err == nil {
			return nil
		}
		if err = errors.Join(err, k.act()); unwritten(err) || time.Now().After(last) {
			return err
		}
		if e := pause.For(ctx, time.Second); e != nil {
			return errors.Join(e, err)
		}
	}
}

// see is look without effect.
func (k *keeper) see(ctx context.Context) (view, error) {
	replicas, err := k.c.config.Deployer.Observe(ctx, k.svc.ID)
	if err != nil {
		return view{}, fmt.Errorf("observing the replicas: %w", err)
	}
	return k.view(replicas, 0), nil
}

// drainTimeout is how long open requests have outside a run.
const drainTimeout = 30 * time.Second
