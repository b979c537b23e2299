package sync

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// Commits yields the commits that q selects, newest first. The parent of each is
// the commit before it that is not forgotten.
func (e *engine) Commits(ctx context.Context, q CommitQuery) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		w, err := e.reader(ctx)
		if err != nil {
			yield(Commit{}, err)
			return
		}
		l := listing{work: w, query: q, yield: yield, found: q.After == ""}
		err = w.onNewest(ctx, func() error { return l.read(ctx) })
		if err == nil && !l.left && !l.found {
			err = fmt.Errorf("%w: commit %q", errAbsent, q.After)
		}
		if err != nil && !l.left {
			yield(Commit{}, err)
		}
	}
}

// listing is one look at history.
type listing struct {
	*work
	query CommitQuery
	yield func(Commit, error) bool

	at    int64   // the place of the commit that was read last, from below
	held  []entry // a commit of which the parent is not read yet, and its shelf
	found bool    // the commit that the others are to follow
	left  bool    // the caller wants no more
}

// read goes on where it was: a newer head does not begin it anew.
func (l *listing) read(ctx context.Context) error {
	if l.query.Path != "" {
		if err := l.live(ctx); err != nil {
			return err
		}
	}
	for e, err := range l.past(ctx) {
		if err != nil {
			return err
		}
		shelf := strings.HasSuffix(e.ID, shelfSuffix)
		at := 2 * e.Seq
		if shelf {
			at--
		}
		if l.at > 0 && at >= l.at {
			continue
		}
		if !shelf {
			if err := l.tell(ctx, &e); err != nil || l.left {
				return err
			}
		}
		l.at, l.held = at, append(l.held, e)
	}
	return l.tell(ctx, nil)
}

// tell yields what is held, which comes from older.
func (l *listing) tell(ctx context.Context, older *entry) error {
	for ; len(l.held) > 0; l.held = l.held[1:] {
		e := l.held[0]
		if !l.found {
			l.found = e.ID == l.query.After
			continue
		}
		if l.query.Device != "" && e.Device != l.query.Device {
			continue
		}
		c := Commit{ID: e.ID, Device: e.Device, Time: e.Time, By: By{Actor: e.Actor, Reason: e.Reason}, Files: e.Files, Bytes: e.Bytes}
		var before tree.ID
		if older != nil {
			c.Parent, before = older.ID, older.Root
		}
		if l.query.Path != "" {
			if changed, err := l.changed(ctx, before, e.Root); err != nil {
				return err
			} else if !changed {
				continue
			}
		}
		for _, tag := range sortedKeys(l.head.Tags) {
			if l.head.Tags[tag] == e.ID {
				c.Tags = append(c.Tags, tag)
			}
		}
		if l.left = !l.yield(c, nil); l.left {
			return nil
		}
	}
	return nil
}

// changed reports whether the path of the query is not the same in two trees.
func (l *listing) changed(ctx context.Context, before, after tree.ID) (bool, error) {
	if before == after {
		return false, nil
	}
	const most = 10_000 // folders and contents in memory
	if len(l.forest.made) > most {
		clear(l.forest.made)
	}
	old, err := l.trees.Find(ctx, before, l.query.Path)
	if err != nil {
		return false, err
	}
	now, err := l.trees.Find(ctx, after, l.query.Path)
	return !tree.Same(old, now), err
}

// Diff yields what differs from one commit to another, by path: files and links.
// "" is the folder as it was last synced.
func (e *engine) Diff(ctx context.Context, from, to string) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		var all []Difference
		w, err := e.reader(ctx)
		if err == nil {
			err = w.onNewest(ctx, func() error { all, err = w.differences(ctx, from, to); return err })
		}
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
		if err != nil {
			yield(Difference{}, err)
		}
	}
}

func (w *work) differences(ctx context.Context, from, to string) (all []Difference, err error) {
	if err := w.live(ctx); err != nil {
		return nil, err
	}
	var roots [2]tree.ID
	for i, id := range []string{from, to} {
		if roots[i] = w.base; id != "" {
			e, err := w.find(ctx, id)
			if err != nil {
				return nil, err
			}
			roots[i] = e.Root
		}
	}
	var changes []tree.Change
	for c, err := range w.trees.Diff(ctx, roots[0], roots[1]) {
		if err != nil {
			return nil, err
		}
		changes = append(changes, fileChange(c))
	}
	changes = slices.DeleteFunc(changes, func(c tree.Change) bool { return c.Old == nil && c.New == nil })
	moved := renames(changes)
	for _, c := range changes {
		d := Difference{Kind: DifferenceEdited, Path: c.Path}
		switch {
		case c.New == nil && moved["from "+c.Path] != "":
			continue
		case c.New == nil:
			d.Kind = DifferenceDeleted
		case moved[c.Path] != "":
			d.Kind, d.From = DifferenceRenamed, moved[c.Path]
		case c.Old == nil:
			d.Kind = DifferenceAdded
		}
		if c.New != nil {
			d.Size = c.New.Size
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// fileChange is what a change is but for folders.
func fileChange(c tree.Change) tree.Change {
	if c.Old != nil && c.Old.Kind == tree.Folder {
		c.Old = nil
	}
	if c.New != nil && c.New.Kind == tree.Folder {
		c.New = nil
	}
	return c
}

// Open reads a file as a commit has it; "" is the folder as it was last synced. The
// context is that of the reading, too.
func (e *engine) Open(ctx context.Context, commit, path string) (r *reading, err error) {
	w, err := e.reader(ctx)
	if err != nil {
		return nil, err
	}
	err = w.onNewest(ctx, func() error {
		r, err = w.open(ctx, commit, path)
		return err
	})
	return r, err
}

func (w *work) open(ctx context.Context, commit, path string) (*reading, error) {
	if err := w.live(ctx); err != nil {
		return nil, err
	}
	root, named := w.base, "the folder as it was last synced"
	if commit != "" {
		named = fmt.Sprintf("commit %.8s", commit)
		c, err := w.find(ctx, commit)
		if err != nil {
			return nil, err
		}
		root = c.Root
	}
	file, err := w.trees.Find(ctx, root, path)
	if err != nil {
		return nil, err
	}
	if file == nil || file.Kind != tree.File {
		return nil, fmt.Errorf("%w: %s has no file %q", errAbsent, named, path)
	}
	return newReading(ctx, func(ctx context.Context) (*sources, io.Reader) {
		c := tree.Change{Path: path, New: file}
		here, _ := newSources(w, []tree.Change{c})
		return here, here.open(ctx, c)
	}), nil
}
