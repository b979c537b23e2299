package sync

import (
	"cmp"
	"context"
	"slices"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// maxCopies is how many conflict copies of one file are in the folder, at most.
const maxCopies = 10

// thin removes from a merged tree the oldest copies of a file that has a new one,
// if it has too many. Only those go that are in the newest commit as they are: the
// history has them.
func (w *work) thin(ctx context.Context, merged tree.ID) (tree.ID, error) {
	gone := make(map[string]*tree.Entry)
	seen := make(map[string]bool)
	for _, c := range w.result.Conflicts {
		path := cmp.Or(copied(c.Path), c.Path)
		if seen[path] {
			continue
		}
		seen[path] = true
		old, err := w.tooMany(ctx, merged, path)
		if err != nil {
			return merged, err
		}
		for _, path := range old {
			gone[path] = nil
		}
	}
	if len(gone) == 0 {
		return merged, nil
	}
	return w.trees.With(ctx, merged, gone)
}

// tooMany are the paths of the copies of a file that may go.
func (w *work) tooMany(ctx context.Context, merged tree.ID, path string) (paths []string, err error) {
	folder, name := split(path)
	all, err := w.entriesAt(ctx, merged, folder)
	if err != nil {
		return nil, err
	}
	committed, err := w.entriesAt(ctx, w.head.Root, folder)
	if err != nil {
		return nil, err
	}
	n, old := 0, []tree.Entry(nil)
	for _, e := range all {
		if original, ok := tree.CopyOf(e.Name); !ok || original != name || e.Kind == tree.Folder {
			continue
		}
		n++
		was := entryOf(committed, e.Name)
		if was != nil && tree.Same(was, &e) && w.mask(tree.Join(folder, e.Name), false) == "" {
			old = append(old, e)
		}
	}
	slices.SortStableFunc(old, func(a, b tree.Entry) int { return cmp.Compare(a.Time, b.Time) })
	for _, e := range old[:min(len(old), max(0, n-maxCopies))] {
		paths = append(paths, tree.Join(folder, e.Name))
	}
	return paths, nil
}
