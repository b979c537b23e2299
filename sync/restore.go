package sync

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

const (
	maxRestored      = 1000    // paths
	maxRestoredPaths = 1 << 20 // bytes of all of them, since they are recorded
)

// Restore brings back what a commit has, as an edit that the next sync commits.
// What has come since stays. Of what is replaced, that which nobody has committed
// is kept beside, as a copy; the rest is in history. What a folder would have to
// give way to, or the reverse, is left out, with a Problem.
func (e *engine) Restore(ctx context.Context, r RestoreRequest) (engineResult, error) {
	if err := r.check(); err != nil {
		return engineResult{}, err
	}
	w, err := e.begin(ctx, Request{By: r.By})
	if err != nil {
		return engineResult{}, err
	}
	release, err := w.claim(ctx)
	if err != nil {
		return engineResult{}, err
	}
	defer release()
	w.forest.notes = !w.book.dry
	if err := w.obey(ctx); err != nil {
		return engineResult{}, err
	}
	if err := w.recover(ctx); err != nil {
		return engineResult{}, fmt.Errorf("going on with an earlier sync: %w", err)
	}
	if err := w.obey(ctx); err != nil {
		return engineResult{}, err
	}
	if err := w.look(ctx); err != nil {
		return engineResult{}, err
	}
	if err := w.agree(ctx); err != nil {
		return engineResult{}, err
	}
	if w.stranger != nil {
		return engineResult{}, w.stranger
	}
	err = w.onNewest(ctx, func() error { return w.restore(ctx, r) })
	w.result.Commit = w.known.id
	return w.result, err
}

func (r RestoreRequest) check() error {
	if r.Commit == "" {
		return fmt.Errorf("%w: Commit is required", ErrInvalid)
	}
	if len(r.Paths) > maxRestored {
		return fmt.Errorf("%w: %d Paths, at most %d are allowed", ErrInvalid, len(r.Paths), maxRestored)
	}
	if err := fits("RestoreRequest.Commit", r.Commit, maxText); err != nil {
		return err
	}
	length := 0
	for _, path := range append([]string{r.Into}, r.Paths...) {
		if length += len(path); length > maxRestoredPaths {
			return fmt.Errorf("%w: Into and Paths have more than %d bytes", ErrInvalid, maxRestoredPaths)
		}
		if err := checkPath(path); path != "" && err != nil {
			return err
		}
	}
	if i := slices.Index(r.Paths, ""); i >= 0 {
		return fmt.Errorf("%w: Paths has an empty path, at %d", ErrInvalid, i)
	}
	return nil
}

// checkPath is ErrInvalid for what is no path of a file that is synced.
func checkPath(path string) error {
	for name := range strings.SplitSeq(path, "/") {
		if !tree.ValidName(name) {
			return fmt.Errorf("%w: path %q", ErrInvalid, path)
		}
	}
	if path == Staging || strings.HasPrefix(path, Staging+"/") {
		return fmt.Errorf("%w: path %q is this package's own", ErrInvalid, path)
	}
	return nil
}

func (w *work) restore(ctx context.Context, r RestoreRequest) error {
	u, err := w.r.beginUpload(ctx, w.head)
	if err != nil {
		return err
	}
	u.dry, w.forest.live = true, u.live // a scan only
	from, err := w.find(ctx, r.Commit)
	if err != nil {
		return err
	}
	ours, err := w.scan(ctx, u)
	if err != nil {
		return err
	}
	w.result = engineResult{}
	paths := r.Paths
	if len(paths) == 0 {
		paths = []string{""}
	}
	at := make(map[string]*tree.Entry)
	for _, path := range paths {
		was, err := w.trees.Find(ctx, from.Root, path)
		if err != nil {
			return err
		}
		if was == nil {
			return fmt.Errorf("%w: commit %.8s has no %q", errAbsent, r.Commit, path)
		}
		if path == "" {
			was.Mode = 0o755 // of the folder that it may become
		}
		to := strings.Trim(r.Into+"/"+path, "/")
		if at[to], err = w.over(ctx, ours, to, was); err != nil {
			return err
		}
		if at[to] == nil {
			delete(at, to)
		}
	}
	edited := ours
	if whole := at[""]; whole != nil {
		edited = whole.Folder
		delete(at, "")
	}
	if edited, err = w.trees.With(ctx, edited, at); err != nil {
		return err
	}
	return w.edit(ctx, ours, edited, true)
}

// over returns what is to be at a path when an entry is laid over what is there,
// or nil if it cannot be had there.
func (w *work) over(ctx context.Context, ours tree.ID, path string, e *tree.Entry) (*tree.Entry, error) {
	for i, b := range []byte(path) {
		if b != '/' {
			continue
		}
		above, err := w.trees.Find(ctx, ours, path[:i])
		if err != nil {
			return nil, err
		}
		if isFile(above) {
			w.problem(path, fmt.Sprintf("%q is a file", path[:i]))
			return nil, nil
		}
	}
	there, err := w.trees.Find(ctx, ours, path)
	if err != nil {
		return nil, err
	}
	return w.overlay(ctx, path, there, e)
}

func (w *work) overlay(ctx context.Context, path string, there, e *tree.Entry) (*tree.Entry, error) {
	switch {
	case there == nil || isFile(there) && isFile(e):
		return e, nil
	case isFile(there) || isFile(e):
		w.problem(path, "a file and a folder have this name")
		return there, nil
	}
	below, err := w.trees.Entries(ctx, there.Folder)
	if err != nil {
		return nil, err
	}
	was, err := w.trees.Entries(ctx, e.Folder)
	if err != nil {
		return nil, err
	}
	merged := append([]tree.Entry(nil), below...)
	for i := range was {
		name := was[i].Name
		at, err := w.overlay(ctx, tree.Join(path, name), entryOf(merged, name), &was[i])
		if err != nil {
			return nil, err
		}
		merged = tree.Replace(merged, name, at)
	}
	folder := *there
	folder.Folder, err = w.trees.Make(ctx, merged)
	return &folder, err
}
