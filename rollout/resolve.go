package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// intent is what a request comes to, with the service as it is.
type intent struct {
	request     Request
	service     Service   // as it is; without an ID's record it is all zero but for the ID
	from        *Revision // nil for the first
	to          RevisionID
	made        bool // to is a new revision, named by the run
	kept        bool // to is one that is kept for a Rollback
	undoes      string
	was, spec   Spec
	share       int
	aim         aim
	strategy    Strategy
	diff        []Difference
	notEnforced []string
}

// upToDate reports that nothing would change.
func (in *intent) upToDate() bool { return !in.made && !in.kept && len(in.diff) == 0 }

// resolve finds out what a request comes to. It changes nothing.
func (c *Controller) resolve(ctx context.Context, r Request) (*intent, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	svc, err := c.config.RunStore.Service(ctx, r.Service)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	svc.ID = r.Service
	in := &intent{request: r, service: svc}
	if err := in.findVersions(); err != nil {
		return nil, err
	}
	if err := c.content(ctx, in); err != nil {
		return nil, err
	}
	if err := in.findShare(); err != nil {
		return nil, err
	}
	in.diff = in.differences()
	strategy := c.config.Strategy
	if r.Strategy != nil {
		strategy = *r.Strategy
	}
	in.plan(strategy)
	return in, c.deployable(ctx, in)
}

// findVersions finds what is replaced, and by which name the new content goes.
func (in *intent) findVersions() error {
	r := &in.request
	replaced := r.Replace
	if replaced == latest {
		replaced = ""
	}
	if in.from = in.service.newest(replaced); in.from == nil && replaced != "" {
		if len(in.service.Revisions) == 0 {
			return noService(r.Service)
		}
		return fmt.Errorf("%w: version %q of service %q", ErrNotFound, replaced, r.Service)
	}
	in.from = clone(in.from)
	version := r.Version
	switch {
	case in.from == nil && version == "":
		return fmt.Errorf("%w: Version, for a service that has none", ErrMissing)
	case in.from == nil:
	case version == "":
		version = in.from.ID.Version
	case version != in.from.ID.Version && in.service.newest(version) != nil:
		return invalid("Version", "%q is there already: Replace it", version)
	}
	in.to = RevisionID{Service: r.Service, Version: version}
	return nil
}

// content works out the complete content, and whether it makes a revision.
func (c *Controller) content(ctx context.Context, in *intent) error {
	var base Spec
	if in.from != nil {
		in.was = in.from.Spec.complete()
		base = in.was
	}
	if id := in.request.Snapshot; id != "" {
		run, err := c.Get(ctx, id)
		if err == nil && (run.State != StateSucceeded || run.Service != in.request.Service) {
			err = fmt.Errorf("%w: snapshot %q of service %q", ErrNotFound, id, in.request.Service)
		}
		if err != nil {
			return err
		}
		base = run.Spec
	}
	in.spec = base.over(in.request.Spec).complete()
	if in.service.Path != "" {
		in.spec.Path = &in.service.Path
	}
	if err := in.spec.check(); err != nil {
		return err
	}
	in.made = in.from == nil || in.to.Version != in.from.ID.Version || in.request.Restart || in.spec.needsRevision(in.was)
	if !in.made {
		in.to = in.from.ID
	}
	return nil
}

// findShare works out what the version has in the end.
func (in *intent) findShare() error {
	in.share = 100
	if in.from != nil {
		in.share = in.service.Split.percent(in.from.ID.Run)
	}
	if in.request.Share != nil {
		in.share = *in.request.Share
	}
	var from RevisionID
	if in.from != nil {
		from = in.from.ID
	} else if in.share != 100 {
		return invalid("Share", "%d of a first version: it has 100", in.share)
	}
	in.aim = aimAt(in.service.Split, from, in.to, in.share)
	sum := 0
	for _, w := range in.aim.After.Weights {
		sum += w.Percent
	}
	if sum != 100 {
		return invalid("Share", "%d of the only version with traffic: it has 100", in.share)
	}
	return nil
}

// plan completes the strategy. What makes no revision needs no looking at.
func (in *intent) plan(s Strategy) {
	beside := false
	for _, w := range in.service.Split.Weights {
		beside = beside || w.Percent > 0
	}
	if surge, full := s.Surge, in.full(); surge == 0 && s.Unavailable >= full {
		beside = false // there is nothing beside it while it starts
	}
	if in.request.Strategy == nil && len(in.service.Split.Weights) == 0 {
		s.Steps = nil // which are those of a Config
	}
	if !in.made {
		s.Steps = []Step{{Percent: 100, Hold: -1}}
	}
	in.strategy = s.complete(beside && in.share > 0)
}

// full is how many replicas the new revision has in the end: as many as what it
// replaces has, within its limits, and one to look at.
func (in *intent) full() int {
	n := 1
	if in.from != nil {
		n = max(n, in.from.Replicas)
	}
	return min(max(n, *in.spec.MinReplicas), *in.spec.MaxReplicas)
}

// deployable asks the Deployer.
func (c *Controller) deployable(ctx context.Context, in *intent) error {
	notEnforced, err := c.config.Deployer.Check(ctx, in.to, in.spec)
	if err != nil {
		return fmt.Errorf("version %q: %w", in.to.Version, err)
	}
	for _, sc := range in.spec.Scaling {
		if sc.Resource == "cpu" && in.spec.CPU == nil || sc.Resource == "mem" && in.spec.Memory == nil {
			notEnforced = append(notEnforced, "Scaling") // there is nothing to take percents of
			break
		}
	}
	in.notEnforced = notEnforced
	return nil
}

// Plan resolves the request and tells what would happen. It changes nothing,
// and shows no secret. While the service has a run it is about what there is in
// the middle of that: see Plan.Live.
func (c *Controller) Plan(ctx context.Context, r Request) (Plan, error) {
	in, err := c.resolve(ctx, r)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		ID: in.id(), Version: in.to.Version, Spec: in.spec.Masked(), Diff: in.diff,
		UpToDate: in.upToDate(), NotEnforced: in.notEnforced,
	}
	if in.from != nil {
		p.From = in.from.ID
	}
	run, live, err := c.liveRun(ctx, r.Service)
	if err != nil {
		return Plan{}, err
	}
	if live {
		p.Live = run.ID
	}
	if p.UpToDate {
		return p, nil
	}
	for i := range in.strategy.Steps {
		p.Steps = append(p.Steps, in.step(i))
	}
	p.Hooks, p.Longest = c.planned(in)
	return p, nil
}

// step is one as it would be.
func (in *intent) step(i int) PlannedStep {
	step := in.strategy.Steps[i]
	share := in.aim.share(step.Percent)
	p := PlannedStep{Step: step.Masked(), Split: in.aim.at(share), Replicas: map[string]int{}}
	p.Split.Rules = append(p.Split.Rules, matches(in.to, step)...)
	p.Split = p.Split.Masked()
	n := need(step, in.full(), share, in.share)
	p.Replicas[in.to.Run] = n
	for _, r := range in.service.Revisions {
		if r.Replaced || r.ID.Run == in.to.Run {
			continue
		}
		p.Replicas[r.ID.Run] = r.Replicas
		if in.from != nil && r.ID == in.from.ID {
			p.Replicas[r.ID.Run] = room(r.Replicas, n, in)
		}
	}
	return p
}

// room is how many replicas what is replaced keeps beside so many new ones.
func room(old, new int, in *intent) int {
	if in.aim.After.percent(in.from.ID.Run) > 0 {
		return old
	}
	return max(0, min(old, max(old, in.full())+in.strategy.Surge-new))
}

// planned are the hooks in their order, and the longest time that all takes
// unless somebody pauses it.
func (c *Controller) planned(in *intent) (names []string, longest time.Duration) {
	add := func(hooks []Hook) {
		for _, h := range hooks {
			names = append(names, h.Name)
			longest += h.timeout()
		}
	}
	if in.made {
		add(c.config.Before)
	}
	for _, step := range in.strategy.Steps {
		longest += in.strategy.Deadline + max(0, step.Hold)
		if in.made {
			add(c.config.AfterStep)
		}
	}
	longest += in.strategy.Deadline + in.strategy.DrainTimeout
	if in.made {
		add(c.config.After)
	}
	return names, longest
}
