package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/update"
)

// manifestsKept is how many manifests are kept beyond those of the trees that
// are: the oldest tree is what the release before its run has put there.
const manifestsKept = 3

var runName = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}\.[0-9]{3}Z-.+)(\.part|\.new|\.old|\.undone|\.spare|\.late[0-9]+|\.json)$`)

// ofRun takes apart the name of something beside Dir. Names of other kinds are
// those of somebody else, or of what is kept for a person.
func ofRun(name string) (id, kind string, ok bool) {
	m := runName.FindStringSubmatch(name)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// nameTime is how the names of what is of a run begin.
const nameTime = "20060102T150405.000Z-"

// named returns what a run is called beside Dir. Names begin with the time, and
// tell which run came last: one that begins in the same millisecond as another,
// or after the clock was set back, has a later name all the same.
func (p *publisher) named(run string, now time.Time) (string, error) {
	all, err := p.ofRuns()
	now = now.UTC().Truncate(time.Millisecond)
	for _, b := range all {
		last, err := time.Parse(nameTime, b.id[:len(nameTime)])
		if err == nil && !now.After(last) {
			now = last.Add(time.Millisecond)
		}
	}
	return now.Format(nameTime) + run, err
}

// besides is something beside Dir that is of a run.
type besides struct{ id, kind string }

// ofRuns returns what is beside Dir of all runs; the names begin with the time.
func (p *publisher) ofRuns() (all []besides, err error) {
	entries, err := os.ReadDir(p.beside(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if id, kind, ok := ofRun(e.Name()); ok {
			all = append(all, besides{id, kind})
		}
	}
	return all, err
}

// sweepStaged removes trees of some runs that were never switched.
func (p *publisher) sweepStaged(ctx context.Context, t *update.Task, of func(id string) bool) error {
	all, err := p.ofRuns()
	for _, b := range all {
		if of(b.id) && (b.kind == partly || b.kind == ready) {
			err = errors.Join(err, p.discard(ctx, t, b.id, b.kind))
		}
	}
	return err
}

// sweep removes what is beside Dir of other runs than keep, but for the newest
// tree that was replaced. One that cannot be removed is not in the way of others.
func (p *publisher) sweep(ctx context.Context, t *update.Task, keep string) error {
	all, err := p.ofRuns()
	if err != nil {
		return err
	}
	last := ""
	for _, b := range all {
		if b.kind == replaced && b.id != keep {
			last = b.id
		}
	}
	for _, b := range all {
		if b.kind != listed && b.id != keep && (b.id != last || b.kind != replaced && b.kind != spared) {
			err = errors.Join(err, p.discard(ctx, t, b.id, b.kind))
		}
	}
	return errors.Join(err, p.sweepManifests())
}

// discard removes a tree of a run, unless there is something in it that no
// release has put there.
func (p *publisher) discard(ctx context.Context, t *update.Task, id, kind string) error {
	tree := p.beside(id + kind)
	if err := remove.Check(tree); err != nil {
		return err
	}
	var found strays
	var err error
	if kind != partly && !p.Replace {
		found, err = p.foreign(ctx, t, tree, nil)
	}
	switch {
	case err != nil:
		return err
	case found.n > 0:
		say(t, fmt.Sprintf("no release has put there what stays in %q: %s", tree+kept, found))
		err = p.rename(tree, tree+kept)
	default:
		err = remove.All(ctx, tree, signs(t, "%d files removed"))
	}
	if err != nil || kind != ready && kind != undone {
		return err
	}
	return durable.Remove(p.beside(id + listed)) // the tree was this run's
}

// sweepManifests removes the manifests of trees that are gone.
func (p *publisher) sweepManifests() error {
	all, err := p.ofRuns()
	first := slices.IndexFunc(all, func(b besides) bool { return b.kind != listed })
	if err != nil || first < 0 {
		return err
	}
	older := all[:first]
	if n := first - 1; n >= 0 && older[n].id == all[first].id {
		older = older[:n]
	}
	for _, b := range older[:max(len(older)-manifestsKept, 0)] {
		if err := durable.Remove(p.beside(b.id + listed)); err != nil {
			return err
		}
	}
	return nil
}
