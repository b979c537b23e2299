package update

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/lease"
)

// Package is one thing that may be updated.
type Package struct {
	Name   string // required: 1 to 256 bytes of letters, digits and . _ - / @ +
	Source Source // required: the versions there are
	// Steps is required: how to get to one of them. A run has the steps, in
	// the order, that the package had when it began, and finds them by name,
	// in the process that takes it over too, which may be of the next release.
	// What it has done already may be gone from there, and what was added is
	// not done in that run. What it still has to do must be there, or it is
	// rolled back; and what cannot be undone because it is gone is passed over
	// on the way back, which fails then and says so.
	Steps []Step
	// Lock is the lock, whose lease is on lease.Item("update", Lock). Packages
	// with the same one are updated one at a time. Default DefaultLock.
	Lock string
	// Current returns the installed version, "" for none. Default: the
	// version of the last run that succeeded.
	Current func(ctx context.Context) (string, error)
	// Gate refuses a request, usually with ErrDisabled. Default: allow.
	Gate func(ctx context.Context, r Request) error
	// AllowPrerelease makes every request allow pre-releases, for packages
	// that have nothing else, such as Go modules without a tag.
	AllowPrerelease bool

	byName map[string]int // index of each step
}

// packageName leaves the length out: as a part of the pattern it would make
// every program begin with a table of a quarter of a megabyte.
var packageName = regexp.MustCompile(`^[A-Za-z0-9@][A-Za-z0-9._/@+-]*$`)

// prepare checks p and fills in its defaults.
func (p *Package) prepare() error {
	p.Lock = cmp.Or(p.Lock, DefaultLock)
	p.Steps = slices.Clone(p.Steps)
	switch {
	case len(p.Name) > maxName || !packageName.MatchString(p.Name) || slices.Contains(strings.Split(p.Name, "/"), ".."):
		return errors.New("the Name must be 1 to 256 bytes of letters, digits and . _ - / @ +, and no option or path upwards")
	case p.Source == nil:
		return errors.New("a Source is required")
	case len(p.Steps) == 0:
		return errors.New("at least one step is required")
	}
	if err := lease.CheckItem(itemOf(p.Lock)); err != nil {
		return fmt.Errorf("the Lock %q: %w", cut(p.Lock, maxName), err)
	}
	p.byName = map[string]int{}
	for i, s := range p.Steps {
		first, twice := p.byName[s.Name]
		switch {
		case s.Name == "" || len(s.Name) > 128:
			return fmt.Errorf("a step's Name has %d bytes, 1 to 128 are allowed", len(s.Name))
		case twice:
			return fmt.Errorf("steps %d and %d have the same Name %q: give one of them a Name of its own, "+
				"as step.Named does, and keep it for ever, since a run finds its steps by name", first+1, i+1, s.Name)
		case s.Do == nil:
			return fmt.Errorf("step %q: Do is required", s.Name)
		case s.Weight < 0 || s.Timeout < 0:
			return fmt.Errorf("step %q: Weight and Timeout must not be negative", s.Name)
		}
		p.byName[s.Name] = i
	}
	return nil
}

// newRun is the record with which an update begins.
func (p *Package) newRun(r Request, from string, release Release) Run {
	r.Wait = false // it has
	run := Run{
		ID: strings.ToLower(rand.Text()), Package: p.Name, Item: p.Lock, From: from, Version: release.Version,
		Release: release, State: StateRunning, Request: r,
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		rec := StepRecord{Name: s.Name, Phase: PhaseTodo, Weight: s.weight()}
		s.describe(&rec)
		run.Steps = append(run.Steps, rec)
	}
	return run
}

// gate asks the package whether it may be updated at all.
func (p *Package) gate(ctx context.Context, r Request) error {
	if p.Gate == nil {
		return nil
	}
	if err := p.Gate(ctx, r); err != nil {
		return fmt.Errorf("update %q: %w", p.Name, err)
	}
	return nil
}

// find returns the package's step with this name, or nil.
func (p *Package) find(name string) *Step {
	if i, ok := p.byName[name]; ok {
		return &p.Steps[i]
	}
	return nil
}

// beyondReturn reports whether a step that cannot be taken back has begun.
func (p *Package) beyondReturn(run Run) bool {
	for _, rec := range run.Steps {
		s := p.find(rec.Name)
		if rec.Phase != PhaseTodo && (rec.Final || s != nil && s.PointOfNoReturn) {
			return true
		}
	}
	return false
}

// effects names the steps of a run that had an effect and an Undo: those that
// can be undone, and those that the package does not have any more.
func (p *Package) effects(run Run) (undoable, gone []string) {
	for _, rec := range run.Steps {
		s := p.find(rec.Name)
		switch {
		case rec.Phase == PhaseTodo, rec.Phase == PhaseUndone:
		case s == nil && !rec.NoUndo:
			gone = append(gone, rec.Name)
		case s != nil && s.Undo != nil:
			undoable = append(undoable, rec.Name)
		}
	}
	return undoable, gone
}

// goneError says what cannot be undone any more, nil if that is nothing.
func goneError(gone []string) error {
	if len(gone) == 0 {
		return nil
	}
	return fmt.Errorf("not undone: %q, which the package does not have any more", gone)
}
