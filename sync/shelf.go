package sync

import (
	"context"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// shelve finds what a pull takes out of the folder that nobody has committed: then
// all that the folder has goes into history with the next commit, though not into
// its tree.
func (w *work) shelve(ctx context.Context, ours, merged tree.ID) error {
	w.shelf = tree.ID{}
	if w.request.Mode != ModeForcePull {
		return nil
	}
	for c, err := range w.trees.Diff(ctx, ours, merged) {
		if err != nil {
			return err
		}
		fresh, err := w.fresh(ctx, c)
		if err != nil {
			return err
		}
		if fresh {
			w.shelf = ours
			return nil
		}
	}
	return nil
}

// fresh reports whether what a change takes away is in no commit, as far as the
// base tells.
func (w *work) fresh(ctx context.Context, c tree.Change) (bool, error) {
	if !isFile(c.Old) {
		return false, nil
	}
	was, err := w.trees.Find(ctx, w.base, c.Path)
	return err == nil && !is(was, c.Old), err
}

// sendShelf sends what goes into history, and returns what the head says of it.
func (w *work) sendShelf(ctx context.Context, u *upload) (*shelf, error) {
	if w.shelf == (tree.ID{}) {
		return nil, nil
	}
	if _, err := w.send(ctx, u, w.shelf); err != nil {
		return nil, err
	}
	all, err := w.count(ctx, w.shelf)
	return &shelf{w.shelf, all.files, all.bytes}, err
}
