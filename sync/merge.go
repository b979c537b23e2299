package sync

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// merge returns what the folder and the remote are to be.
func (w *work) merge(ctx context.Context, u *upload, ours tree.ID) (tree.ID, error) {
	w.merged = make(map[string]bool)
	w.moved, w.result.Conflicts = make(map[string]string), slices.Clone(w.late)
	theirs := w.head.Root
	m := tree.Merger{Trees: w.trees, Combine: w.combine(u), Kept: func(c tree.Conflict) {
		w.result.Conflicts = append(w.result.Conflicts, c)
		if c.Ours {
			w.moved[c.Copy] = c.Path
		}
	}}
	switch w.request.Mode {
	case ModeForcePush:
		return ours, nil
	case ModeForcePull:
		return theirs, nil
	}
	merged, err := m.Merge(ctx, w.base, ours, theirs)
	if err != nil {
		return merged, err
	}
	return w.thin(ctx, merged)
}

// allowed refuses what is not as it was planned, or what no plan allows.
func (w *work) allowed(ctx context.Context, ours, merged tree.ID) error {
	err := w.guard(ctx, ours, merged)
	switch {
	case w.request.Plan == "", err != nil && !errors.Is(err, ErrGuard):
		return err
	case w.request.Plan == w.planID(ours, merged):
		return nil
	}
	return fmt.Errorf("%w: a side is not as it was when plan %q was made", ErrStale, w.request.Plan)
}

// guard refuses what would delete too much, of all of which it takes a note.
func (w *work) guard(ctx context.Context, ours, merged tree.ID) error {
	refused := w.stranger
	w.result.Deleted = 0
	for _, side := range []struct {
		name string
		root tree.ID
	}{{"here", ours}, {"in the remote", w.head.Root}} {
		deleted, err := w.deleted(ctx, side.root, merged)
		if err != nil {
			return err
		}
		w.result.Deleted += int64(deleted)
		if deleted <= w.MaxDelete.Files || refused != nil {
			continue
		}
		all, err := w.count(ctx, side.root)
		if err != nil {
			return err
		}
		if float64(deleted) > w.MaxDelete.Share*float64(all.files) {
			refused = fmt.Errorf("%w: it would delete %d of %d files %s", ErrGuard, deleted, all.files, side.name)
		}
	}
	return refused
}

// deleted counts the files that go from one tree to another, but for those whose
// content appears elsewhere.
func (w *work) deleted(ctx context.Context, from, to tree.ID) (n int, err error) {
	gone := make(map[[sha256.Size]byte]int)
	for c, err := range w.trees.Diff(ctx, from, to) {
		if err != nil {
			return 0, err
		}
		if fileChange(c).Old != nil && fileChange(c).New == nil {
			gone[sha256.Sum256([]byte(contentOf(c.Old)))]++
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	for c, err := range w.trees.Diff(ctx, from, to) {
		if err != nil {
			return 0, err
		}
		if fileChange(c).New == nil || fileChange(c).Old != nil {
			continue
		}
		content := sha256.Sum256([]byte(contentOf(c.New)))
		if gone[content] > 0 {
			gone[content]--
			n--
		}
	}
	return n, nil
}

// contentOf is the same for files that have the same.
func contentOf(e *tree.Entry) string {
	text := string(e.Kind) + e.Link
	for _, id := range e.Chunks {
		text += string(id[:])
	}
	return text
}

type total struct{ files, bytes int64 }

// count counts the files of a tree.
func (w *work) count(ctx context.Context, root tree.ID) (all total, err error) {
	entries, err := w.trees.Entries(ctx, root)
	if err != nil {
		return all, err
	}
	for _, e := range entries {
		if e.Kind != tree.Folder {
			all.files++
			all.bytes += e.Size
			continue
		}
		below, err := w.count(ctx, e.Folder)
		if err != nil {
			return all, err
		}
		all.files += below.files
		all.bytes += below.bytes
	}
	return all, nil
}

// commit puts the next head. Again is true if somebody else was faster, or if a
// file has changed since it was scanned.
func (w *work) commit(ctx context.Context, u *upload, ours, merged tree.ID) (again bool, err error) {
	sent, err := w.send(ctx, u, merged)
	if errors.Is(err, ErrStale) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	next, err := w.next(ctx, w.head)
	if err == nil {
		next.Shelf, err = w.sendShelf(ctx, u)
	}
	if errors.Is(err, ErrStale) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	err = w.proving(ctx, func() error {
		next.Index, err = u.finish(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	all, err := w.count(ctx, merged)
	if err != nil {
		return false, err
	}
	next.Root, next.Files, next.Bytes = merged, all.files, all.bytes
	next.Lost = w.head.Lost && !w.whole
	if err := w.intend(ctx, &next, ours, merged); err != nil {
		return false, err
	}
	done, err := w.r.commit(ctx, next)
	switch {
	case errors.Is(err, ErrStale):
		return true, w.behind(ctx)
	case err != nil:
		return false, err
	}
	w.head, w.result.Committed, w.result.Uploaded, u.done = done, true, sent, true
	w.forest.live = w.r.places(done)
	return false, nil
}

// behind finds the head that was put meanwhile: by its name, since a list may be
// behind, or, if what was put does not count, as the newest of the list.
func (w *work) behind(ctx context.Context) error {
	was := w.head
	seq, put, err := w.r.newest(ctx)
	if err != nil {
		return err
	}
	if seq <= was.Seq {
		seq = was.Seq + 1
	}
	if w.head, err = w.r.head(ctx, seq); err == nil {
		w.put = put
	}
	return err
}

// send adds to an upload what the newest head lacks of a tree. It returns how many
// files come or change by that.
func (w *work) send(ctx context.Context, u *upload, merged tree.ID) (files int64, err error) {
	var all, lacking tally
	var changes []tree.Change
	if err := u.live.read(ctx); err != nil {
		return 0, err
	}
	for c, err := range w.trees.Diff(ctx, w.head.Root, merged) {
		if err != nil {
			return 0, err
		}
		all.count(c)
		if c.New != nil && u.lacks(c.New.Chunks) {
			changes = append(changes, c)
			lacking.count(c)
		}
	}
	w.tell.begin(StepUpload, lacking.files, lacking.bytes+u.waiting.Load()) // which count as they go
	for _, c := range changes {
		if err := w.sendFile(ctx, u, c.Path, c.New); err != nil {
			return 0, fmt.Errorf("file %q: %w", c.Path, err)
		}
		w.tell.done(c.Path, 1, 0)
	}
	if err := u.between(ctx); err != nil {
		return 0, err
	}
	return all.files, w.sendTree(ctx, u, w.head.Root, merged)
}

// sendTree sends the folders of a tree that another one lacks, which is there.
func (w *work) sendTree(ctx context.Context, u *upload, there, merged tree.ID) error {
	return w.forest.beyond(ctx, there, merged, func(id tree.ID, object []byte) error { return u.add(ctx, id, object) })
}

// sendFile sends what is missing of a file, from where it is in the folder.
func (w *work) sendFile(ctx context.Context, u *upload, path string, e *tree.Entry) error {
	missing := make(map[tree.ID]bool)
	for _, id := range e.Chunks {
		if !u.has(id) {
			missing[id] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if from, ok := w.moved[path]; ok {
		path = from
	}
	err := w.chunks(ctx, path, func(id tree.ID, chunk []byte) error {
		if !missing[id] {
			return nil
		}
		delete(missing, id)
		return u.add(ctx, id, chunk)
	})
	if u.err != nil {
		return u.err
	}
	if isNotFound(err) || err == nil && len(missing) > 0 {
		return fmt.Errorf("%w: it is not as it was scanned", ErrStale)
	}
	return err
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// split is the reverse of tree.Join.
func split(path string) (folder, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// entryOf returns the entry of a name, or nil.
func entryOf(entries []tree.Entry, name string) *tree.Entry {
	if i, ok := tree.Search(entries, name); ok {
		return &entries[i]
	}
	return nil
}
