package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

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

// sweepStaged removes trees of some runs that were never switched.
func (p *publisher) sweepStaged(ctx context.Context, t *update.Task, of func(id string) bool) error {
	entries, err := os.ReadDir(p.beside(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		id, kind, ok := ofRun(e.Name())
		if ok && of(id) && (kind == partly || kind == ready) {
			err = errors.Join(err, p.discard(ctx, t, id, kind))
		}
	}
	return err
}

// sweep removes what is beside Dir of other runs than keep, but for the newest
// tree that was replaced. One that cannot be removed is not in the way of others.
func (p *publisher) sweep(ctx context.Context, t *update.Task, keep string) error {
	entries, err := os.ReadDir(p.beside(""))
	if err != nil {
		return err
	}
	last := "" // the names begin with the time
	for _, e := range entries {
		if id, kind, ok := ofRun(e.Name()); ok && kind == replaced && id != keep {
			last = id
		}
	}
	for _, e := range entries {
		id, kind, ok := ofRun(e.Name())
		if !ok || kind == listed || id == keep || id == last && (kind == replaced || kind == spared) {
			continue
		}
		err = errors.Join(err, p.discard(ctx, t, id, kind))
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
	entries, err := os.ReadDir(p.beside(""))
	if err != nil {
		return err
	}
	var older []string
	for _, e := range entries {
		id, kind, ok := ofRun(e.Name())
		switch {
		case !ok:
		case kind != listed:
			if len(older) > 0 && older[len(older)-1] == id {
				older = older[:len(older)-1]
			}
			return removeManifests(p, older)
		default:
			older = append(older, id)
		}
	}
	return nil
}

func removeManifests(p *publisher, ids []string) error {
	for _, id := range ids[:max(len(ids)-manifestsKept, 0)] {
		if err := durable.Remove(p.beside(id + listed)); err != nil {
			return err
		}
	}
	return nil
}
