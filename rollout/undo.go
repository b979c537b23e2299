package rollout

import (
	"context"
	"fmt"
	"slices"
)

// Rollback takes back the last run of a service that has succeeded, else
// ErrStale, by a new run to what it replaced: in one step, and at once if that
// is still kept. No Gate holds it, and of the hooks only After runs.
func (c *Controller) Rollback(ctx context.Context, id string, by By) (Run, error) {
	if err := fits("RequestID", by.RequestID, maxName); err != nil {
		return Run{}, err
	}
	by = by.bounded()
	run, err := c.Get(ctx, id)
	if err != nil {
		return Run{}, err
	}
	if earlier, found, err := c.earlier(ctx, run.Service, by); found || err != nil {
		return earlier, err
	}
	r := Request{
		Service: run.Service, Replace: run.Revision.Version, Version: run.From.Version, Snapshot: run.From.Run, By: by,
	}
	return c.start(ctx, r, func(ctx context.Context) (*intent, error) {
		if err := c.last(ctx, run); err != nil {
			return nil, err
		}
		return c.undo(ctx, r, run)
	})
}

// last refuses a run that is not the last of its service that has succeeded, or
// has nothing before it.
func (c *Controller) last(ctx context.Context, run Run) error {
	for last, err := range c.History(ctx, Query{Service: run.Service, State: StateSucceeded}) {
		if err != nil {
			return err
		}
		if last.ID != run.ID {
			return fmt.Errorf("%w: run %q came after run %q", ErrStale, last.ID, run.ID)
		}
		if run.From.Run == "" {
			return invalid("run", "%q is the first of service %q", run.ID, run.Service)
		}
		return nil
	}
	return fmt.Errorf("%w: run %q has not succeeded", ErrStale, run.ID)
}

// undo works out the way back from a run that has succeeded.
func (c *Controller) undo(ctx context.Context, r Request, run Run) (*intent, error) {
	svc, err := c.service(ctx, run.Service)
	if err != nil {
		return nil, err
	}
	in := &intent{request: r, service: svc, undoes: run.ID, spec: run.Was.complete(), to: run.From}
	in.from = clone(svc.revision(run.Revision.Run))
	if in.from == nil {
		return nil, fmt.Errorf("%w: version %q of service %q is removed", ErrStale, run.Revision.Version, run.Service)
	}
	in.was = in.from.Spec.complete()
	back := svc.revision(run.From.Run)
	in.kept = back != nil && back.Replaced // else it still has a share, or is the same
	in.made = back == nil
	before := run.Before.Clone()
	before.Weights = slices.DeleteFunc(before.Weights, func(w Weight) bool { // only what there still is can have traffic
		return w.Run != run.From.Run && svc.revision(w.Run) == nil
	})
	before = before.with(in.from.ID, before.percent(in.from.ID.Run))
	before.Rules = svc.Split.Rules
	in.share = before.percent(run.From.Run)
	in.aim = aim{Before: svc.Split.Clone(), After: before, To: run.From, Share: in.share}
	if err := in.evenOut(); err != nil {
		return nil, err
	}
	strategy := run.Strategy
	strategy.Steps = []Step{{Percent: 100, Hold: -1}}
	in.strategy = strategy.complete(false)
	if in.made {
		in.to.Run = ""
	}
	return in, c.deployable(ctx, in)
}

// evenOut gives the share of what is gone to the revision that comes back.
func (in *intent) evenOut() error {
	sum := 0
	for _, w := range in.aim.After.Weights {
		sum += w.Percent
	}
	in.share += 100 - sum
	in.aim.Share = in.share
	in.aim.After = in.aim.After.with(in.aim.To, in.share)
	if in.share < 0 {
		return fmt.Errorf("%w: the shares before are not known any more", ErrStale)
	}
	return nil
}
