package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// apply makes the folder, which is as ours, as merged, and notes that.
func (w *work) apply(ctx context.Context, ours, merged tree.ID, u *upload) error {
	w.result.Commit = w.head.id
	if w.head.Seq == 0 {
		return nil
	}
	i := intent{Run: w.Run, Head: w.head.object, Seq: w.head.Seq, Put: true, Ours: ours, Merged: merged, Base: w.base}
	all, err := w.changes(ctx, i)
	if err != nil || all.n == 0 && w.head.id == w.known.id && w.stranger == nil && w.unchanged(ctx, merged) {
		return err
	}
	if err := w.note(ctx, i); err != nil {
		return err
	}
	done, err := w.change(ctx, i, all)
	if err != nil {
		if !isNotFound(err) && w.unstaged(ctx, all, err) {
			err = errors.Join(err, w.settle(ctx, merged, "", u.committed()...))
		}
		return err
	}
	w.result.Copies += done.copies
	w.result.Downloaded = done.files
	return w.settle(ctx, merged, w.Run, u.committed()...)
}

// unchanged reports whether a tree is the base already.
func (w *work) unchanged(ctx context.Context, merged tree.ID) bool {
	root, err := w.basis(ctx, merged)
	return err == nil && root == w.base && !w.request.Fresh
}

// change does the changes of an intent. What has changed meanwhile is left alone,
// and goes into the next sync. After a crash, parts may be done.
func (w *work) change(ctx context.Context, i intent, all *changes) (done done, err error) {
	w.keeps = i.Keep
	if !i.Staged {
		i.Proof = proofName + draw()
		if err := w.stage(ctx, all, i.Proof); err != nil {
			return done, &unstagedError{err}
		}
		i.Staged = true
		if err := w.note(ctx, i); err != nil {
			return done, err
		}
	}
	if all.n > 0 {
		w.tell.begin(StepApply, all.n, 0)
	}
	for c, err := range all.each(ctx) {
		if err != nil {
			return done, err
		}
		if c.Old != nil && (c.New == nil || (c.Old.Kind == tree.Folder) != (c.New.Kind == tree.Folder)) && !w.failed(c.Path) {
			if err := w.take(ctx, c); err != nil {
				return done, err
			}
		}
	}
	for c, err := range all.each(ctx) {
		switch {
		case err != nil || c.New == nil:
		case w.failed(c.Path):
			err = w.inspect(ctx, c, w.staged(c.Path))
		default:
			err = w.place(ctx, c)
		}
		if err != nil {
			return done, err
		}
		if !w.failed(c.Path) {
			done.count(c)
		}
		w.tell.done(c.Path, 1, 0)
	}
	if err := w.seePlaced(ctx, func(string) bool { return false }); err != nil {
		return done, err
	}
	return done, w.Files.Flush(ctx)
}

// ended is an error once the context has ended: somebody else may act then.
func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// under reports whether a change is of what is masked here, and notes that.
func (w *work) under(c tree.Change) bool {
	for i, b := range []byte(c.Path + "/") {
		if b != '/' {
			continue
		}
		path, folder := c.Path[:i], i < len(c.Path) || either(c.New, c.Old).Kind == tree.Folder
		if _, already := w.masked[path]; already {
			return true
		}
		if reason := w.mask(path, folder); reason != "" {
			w.keep(path, nil, reason)
			return true
		}
	}
	if c.New != nil && c.New.Kind == tree.Link && !w.caps.Symlinks {
		w.keep(c.Path, nil, "links cannot be had here")
		return true
	}
	return false
}

// failed reports whether a path, or a folder above, could not be made.
func (w *work) failed(path string) bool {
	return within(w.masked, path)
}

// read returns what is at a path now, or nil.
func (w *work) read(ctx context.Context, path string) (*tree.Entry, error) {
	f, err := w.Files.Stat(ctx, path)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := &tree.Entry{Kind: tree.File, Mode: uint32(f.Mode.Perm()), Size: f.Size, Link: f.Link, Time: nanoseconds(f.ModTime)}
	switch {
	case f.Mode.IsDir():
		e.Kind, e.Size = tree.Folder, 0
		return e, nil
	case f.Mode&fs.ModeSymlink != 0:
		e.Kind, e.Size, e.Mode, e.Time = tree.Link, 0, 0o777, 0
		return e, nil
	}
	err = w.chunks(ctx, path, func(id tree.ID, _ []byte) error {
		e.Chunks = append(e.Chunks, id)
		return nil
	})
	if isNotFound(err) {
		return nil, nil
	}
	return e, err
}

// is reports whether what is at a path now has the content of an entry.
func is(now, e *tree.Entry) bool {
	if now == nil || e == nil {
		return now == nil && e == nil
	}
	return now.Kind == e.Kind && now.Link == e.Link && slices.Equal(now.Chunks, e.Chunks)
}

// take removes what is deleted, or gives way to a folder or a file.
func (w *work) take(ctx context.Context, c tree.Change) error {
	now, err := w.read(ctx, c.Path)
	if errors.Is(err, fs.ErrPermission) {
		w.leave(c.Path, err.Error())
		return nil
	}
	if err == nil {
		err = ended(ctx)
	}
	if err != nil {
		return err
	}
	out := w.taken(c.Path)
	if now == nil || c.New != nil && (now.Kind == tree.Folder) == (c.New.Kind == tree.Folder) {
		return w.inspect(ctx, c, out) // it was taken already
	}
	if w.recovers {
		if taken, err := w.read(ctx, out); err != nil || taken != nil {
			return errors.Join(err, w.inspect(ctx, c, out)) // what is there has come since
		}
	}
	if !is(now, c.Old) {
		w.leave(c.Path, "it has changed meanwhile")
		return nil
	}
	if err = w.Files.Remove(ctx, c.Path, out); err == nil && now.Kind == tree.Folder {
		err = w.see(ctx, c.Path, nil)
	}
	switch {
	case isNotFound(err):
		return nil
	case errors.Is(err, ErrNotEmpty):
		w.leave(c.Path, "its folder is not empty")
		return nil
	case errors.Is(err, fs.ErrPermission):
		w.leave(c.Path, err.Error())
		return nil
	case err != nil:
		return err
	}
	return w.inspect(ctx, c, out)
}

// place puts what is staged for a path there.
func (w *work) place(ctx context.Context, c tree.Change) error {
	if w.recovers {
		if err := w.inspect(ctx, c, aside(w.staged(c.Path))); err != nil || w.failed(c.Path) {
			return err
		}
	}
	now, err := w.read(ctx, c.Path)
	if errors.Is(err, fs.ErrPermission) {
		w.leave(c.Path, err.Error())
		return nil
	}
	if err == nil {
		err = ended(ctx)
	}
	if err != nil {
		return err
	}
	name := w.staged(c.Path)
	if w.recovers {
		staged, err := w.read(ctx, name)
		if err != nil || !is(staged, c.New) { // placed: what has been done to it since is an edit
			return errors.Join(err, w.inspect(ctx, c, name))
		}
	}
	switch {
	case now != nil && is(now, c.New) && (c.New.Kind != tree.File || !w.caps.Modes || now.Mode == c.New.Mode):
		return w.inspect(ctx, c, name) // by an earlier attempt, or by somebody
	case now != nil && !is(now, c.Old) && !is(now, c.New):
		w.leave(c.Path, "it has changed meanwhile")
		return nil
	}
	f, err := w.Files.Place(ctx, name, c.Path)
	switch {
	case isNotFound(err), errors.Is(err, fs.ErrPermission), errors.Is(err, ErrExists):
		w.leave(c.Path, err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("file %q: %w", c.Path, err)
	}
	return errors.Join(w.inspect(ctx, c, name), w.placed(ctx, f, c.New))
}

// leave notes that a path is not as the commit has it: its base stays as it is.
func (w *work) leave(path, reason string) { w.keep(path, nil, reason) }

// inspect looks at what came out of a path. If it is not what was scanned,
// somebody has edited it in the last moment: it is kept beside. All else stays
// staged until the next sync, so that after a crash it tells what was done.
func (w *work) inspect(ctx context.Context, c tree.Change, out string) error {
	was, err := w.read(ctx, out)
	if err != nil || was == nil || was.Kind == tree.Folder {
		return err
	}
	edited := !is(was, c.New) && !is(was, c.Old)
	if !edited && w.keeps && is(was, c.Old) {
		if edited, err = w.fresh(ctx, c); err != nil {
			return err
		}
	}
	if edited {
		return w.rescue(ctx, c.Path, out, was)
	}
	w.came(c.Path, out, was)
	return nil
}

// tidy deletes what is staged, once nothing is under way, but for what came out.
func (w *work) tidy(ctx context.Context) error {
	var names []string
	for f, err := range w.Files.List(ctx, Staging) {
		if isNotFound(err) {
			return nil // nothing was ever staged
		}
		if err != nil {
			return err
		}
		if _, out := w.out[f.Path]; f.Path != markerName && !out && !w.foreign(f.Path) {
			names = append(names, f.Path)
		}
	}
	for _, name := range names {
		if err := ended(ctx); err != nil {
			return err
		}
		if err := w.Files.Remove(ctx, name, ""); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

func either(a, b *tree.Entry) *tree.Entry {
	if a != nil {
		return a
	}
	return b
}
