package sync

import (
	"context"
	"iter"
	"maps"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// changes are what an intent does here. There may be many: they are found anew each
// time, and are not in memory.
type changes struct {
	trees  tree.Trees
	intent intent
	masked map[string]string // paths that are left alone, since before it began
	n      int64
}

// changes are what differs between the trees of an intent, but for what is masked
// here.
func (w *work) changes(ctx context.Context, i intent) (*changes, error) {
	all := &changes{trees: w.trees, intent: i}
	var come []tree.Change // one of each folder
	looked := make(map[string]bool)
	for c, err := range all.each(ctx) {
		if err != nil {
			return nil, err
		}
		if above, _ := split(c.Path); c.New != nil && c.Old == nil && !looked[above] {
			e := *c.New // c.New keeps all of its folder in memory
			looked[above], come = true, append(come, tree.Change{Path: c.Path, New: &e})
		}
	}
	if err := w.clashes(ctx, i.Ours, i.Merged, come); err != nil {
		return nil, err
	}
	for c, err := range all.each(ctx) {
		if err != nil {
			return nil, err
		}
		if !w.under(c) {
			all.n++
			continue
		}
		if !w.recovers {
			continue
		}
		for _, name := range []string{w.staged(c.Path), w.taken(c.Path)} { // it was not masked then
			if err := w.inspect(ctx, c, name); err != nil {
				return nil, err
			}
		}
	}
	all.masked = maps.Clone(w.masked)
	return all, nil
}

// each yields the changes in the order in which they can be done.
func (all *changes) each(ctx context.Context) iter.Seq2[tree.Change, error] {
	return func(yield func(tree.Change, error) bool) {
		for c, err := range all.trees.Diff(ctx, all.intent.Ours, all.intent.Merged) {
			bothFolders := err == nil && fileChange(c).Old == nil && fileChange(c).New == nil && c.Old != nil && c.New != nil
			if bothFolders || err == nil && within(all.masked, c.Path) {
				continue // permissions of folders are those they were made with
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// within reports whether a path, or a folder above, is among some.
func within(paths map[string]string, path string) bool {
	if len(paths) == 0 {
		return false
	}
	for i, b := range []byte(path + "/") {
		if _, ok := paths[path[:i]]; ok && b == '/' {
			return true
		}
	}
	return false
}

// done counts the changes that were done.
type done struct {
	tally
	copies int // that came
}

func (d *done) count(c tree.Change) {
	d.tally.count(c)
	switch {
	case copied(c.Path) == "" || isFile(c.Old) == isFile(c.New):
	case isFile(c.New):
		d.copies++
	default:
		d.copies--
	}
}
