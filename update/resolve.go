package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	version "github.com/hashicorp/go-version"
)

// resolve returns the newest of the source's releases that r asks for. What
// the source spells in a way that is no version is left out.
func (p *Package) resolve(ctx context.Context, r Request) (Release, error) {
	w, err := parseWant(r.Version)
	if err != nil {
		return Release{}, err
	}
	var best Release
	var bestVersion *version.Version
	for release, err := range p.Source.Versions(ctx, p.Name) {
		if err != nil {
			return Release{}, fmt.Errorf("versions of %q: %w", p.Name, err)
		}
		v, err := version.NewVersion(release.Version)
		if err != nil || !w.allows(v, r.AllowPrerelease || p.AllowPrerelease) {
			continue
		}
		if bestVersion == nil || newer(v, bestVersion) {
			best, bestVersion = release, v
		}
	}
	if bestVersion == nil {
		wanted := cmp.Or(strings.TrimSpace(r.Version), latest)
		return Release{}, fmt.Errorf("%w: version %q of %q", ErrNotFound, wanted, p.Name)
	}
	best = best.clone()
	best.Time = best.Time.UTC().Round(0) // as every engine gives it back
	return best, nil
}

// direction compares the wanted release with the installed version. It
// returns ErrUpToDate when there is nothing to do, and ErrInvalid for a
// downgrade that was not asked for.
func (r Request) direction(current string, release Release) error {
	if current == "" {
		return nil
	}
	if current == release.Version {
		return fmt.Errorf("%w: %q is at %s", ErrUpToDate, r.Package, current)
	}
	from, err := version.NewVersion(current)
	if err != nil {
		return nil // an installed version without order is neither above nor below
	}
	to, err := version.NewVersion(release.Version)
	if err != nil {
		return fmt.Errorf("%w: version %q", ErrInvalid, release.Version)
	}
	if same(from, to) {
		return fmt.Errorf("%w: %q is at %s", ErrUpToDate, r.Package, current)
	}
	if from.Compare(to) <= 0 || r.AllowDowngrade {
		return nil
	}
	if w := strings.TrimSpace(r.Version); w == "" || w == latest {
		return fmt.Errorf("%w: %q is at %s, above the latest %s", ErrUpToDate, r.Package, current, release.Version)
	}
	return fmt.Errorf("%w: version %s is below the installed %s, and AllowDowngrade is not set",
		ErrInvalid, release.Version, current)
}

// current returns the installed version of p, "" for none.
func (u *Updater) current(ctx context.Context, p *Package) (string, error) {
	if p.Current != nil {
		v, err := p.Current(ctx)
		if err != nil {
			return "", fmt.Errorf("current version of %q: %w", p.Name, err)
		}
		return v, nil
	}
	for run, err := range u.config.Journal.History(ctx, Query{Package: p.Name}) {
		if err != nil {
			return "", fmt.Errorf("current version of %q: %w", p.Name, err)
		}
		if run.State == StateSucceeded {
			return run.Version, nil
		}
	}
	return "", nil
}

// validate checks what can be checked without asking anybody.
func (u *Updater) validate(r Request) (*Package, error) {
	if r.Package == "" {
		return nil, fmt.Errorf("%w: Package is required", ErrInvalid)
	}
	p, ok := u.packages[r.Package]
	if !ok {
		return nil, fmt.Errorf("%w: package %q", ErrNotFound, cut(r.Package, maxName))
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"Version", r.Version, maxName}, {"By.Actor", r.By.Actor, maxName},
		{"By.Reason", r.By.Reason, maxReason}, {"By.RequestID", r.By.RequestID, maxName},
	} {
		if err := fits(f.name, f.value, f.most); err != nil {
			return nil, err
		}
	}
	if _, err := parseWant(r.Version); err != nil {
		return nil, err
	}
	return p, nil
}

// Plan resolves the version and runs the pre-flight check of every step. It
// changes nothing. A check that fails is ErrFailed, and comes with the plan. A
// version that is installed is not an error but Plan.UpToDate.
func (u *Updater) Plan(ctx context.Context, r Request) (Plan, error) {
	ctx, leave, err := u.door.Enter(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer leave()
	plan, err := u.plan(ctx, r)
	return plan, closedBy(ctx, err)
}

func (u *Updater) plan(ctx context.Context, r Request) (Plan, error) {
	p, err := u.validate(r)
	if err != nil {
		return Plan{}, err
	}
	if err := p.gate(ctx, r); err != nil {
		return Plan{}, err
	}
	release, err := p.resolve(ctx, r)
	if err != nil {
		return Plan{}, err
	}
	from, err := u.current(ctx, p)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Package: p.Name, From: from, Version: release.Version}
	switch err := r.direction(from, release); {
	case errors.Is(err, ErrUpToDate):
		plan.Version, plan.UpToDate = from, true
		return plan, nil
	case err != nil:
		return Plan{}, err
	}
	for _, s := range p.Steps {
		plan.Steps = append(plan.Steps, s.Name)
	}
	return plan, u.check(ctx, p, p.newRun(r, from, release))
}

// check runs every step's pre-flight.
func (u *Updater) check(ctx context.Context, p *Package, run Run) error {
	run.Steps = nil
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Check == nil {
			continue
		}
		if err := u.checkOne(ctx, s, run); err != nil {
			return fmt.Errorf("%w: check of step %q: %w", ErrFailed, s.Name, err)
		}
	}
	return nil
}

// checkOne runs one pre-flight. It shows that it lives as a step does.
func (u *Updater) checkOne(ctx context.Context, s *Step, run Run) error {
	var sign atomic.Pointer[time.Time]
	alive := func() { now := time.Now(); sign.Store(&now) }
	alive()
	t := &Task{Run: run.Clone(), Release: run.Release.clone(), Log: signs(alive)}
	t.progress = func(int64, int64, string) { alive() }
	return u.call(ctx, s, t, s.Check, func() time.Time { return *sign.Load() })
}

// signs is an output of which only that it comes is of interest.
type signs func()

func (alive signs) Write(p []byte) (int, error) {
	alive()
	return len(p), nil
}
