package sync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// Conflicts yields the conflict copies that are in the folder now, by path. A copy
// is known by its name, whatever became of the file that it is a copy of:
// PathHash is "" if there is none any more, or a folder. No remote is asked.
func (e *engine) Conflicts(ctx context.Context) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		w, err := e.begin(ctx, Request{})
		var copies []string
		if err == nil {
			err = w.obey(ctx)
		}
		if err == nil {
			err = w.copies(ctx, "", &copies)
		}
		slices.SortFunc(copies, func(a, b string) int {
			return cmp.Or(strings.Compare(copied(a), copied(b)), strings.Compare(a, b))
		})
		for _, path := range copies {
			if err != nil {
				break
			}
			c := Conflict{Path: copied(path), Copy: path}
			if _, _, err = w.hash(ctx, &c); err == nil && c.CopyHash != "" && !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(Conflict{}, err)
		}
	}
}

// copied is the path of the file that a file is a copy of, or "".
func copied(path string) string {
	folder, name := split(path)
	if original, ok := tree.CopyOf(name); ok {
		return tree.Join(folder, original)
	}
	return ""
}

// copies finds the copies in a folder.
func (w *work) copies(ctx context.Context, folder string, all *[]string) error {
	var folders []string
	for f, err := range w.Files.List(ctx, folder) {
		switch {
		case folder != "" && (isNotFound(err) || errors.Is(err, fs.ErrPermission)):
			return nil // it has gone meanwhile, or is left alone
		case err != nil:
			return err
		case w.mask(f.Path, f.Mode.IsDir()) != "":
		case f.Mode.IsDir():
			folders = append(folders, f.Path)
		case copied(f.Path) != "":
			*all = append(*all, f.Path)
		}
	}
	for _, folder := range folders {
		if err := w.copies(ctx, folder, all); err != nil {
			return err
		}
	}
	return nil
}

// hash reads the two files of a conflict, and notes what they have.
func (w *work) hash(ctx context.Context, c *Conflict) (file, beside *tree.Entry, err error) {
	if file, err = w.read(ctx, c.Path); err != nil {
		return nil, nil, err
	}
	beside, err = w.read(ctx, c.Copy)
	c.PathHash, c.CopyHash = contentHash(file), contentHash(beside)
	return file, beside, err
}

// contentHash is the same for files that have the same, and "" for what is none.
func contentHash(e *tree.Entry) string {
	if !isFile(e) {
		return ""
	}
	sum := sha256.Sum256([]byte(contentOf(e)))
	return hex.EncodeToString(sum[:16])
}

// Resolve ends a conflict, as an edit that the next sync commits. It returns
// ErrStale if one of the two files is no longer as c has it.
func (e *engine) Resolve(ctx context.Context, c Conflict, keep Keep) error {
	if err := errors.Join(checkPath(c.Path), checkPath(c.Copy)); err != nil {
		return err
	}
	if copied(c.Copy) != c.Path {
		return fmt.Errorf("%w: Copy %q is no copy of Path %q", ErrInvalid, c.Copy, c.Path)
	}
	w, err := e.begin(ctx, Request{})
	if err != nil {
		return err
	}
	release, err := w.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := w.obey(ctx); err != nil {
		return err
	}
	if err := w.recover(ctx); err != nil {
		return fmt.Errorf("going on with an earlier sync: %w", err)
	}
	w.head = w.known
	w.forest.live = w.r.places(w.head)
	return w.resolve(ctx, c, keep)
}

func (w *work) resolve(ctx context.Context, c Conflict, keep Keep) error {
	now := c
	file, beside, err := w.hash(ctx, &now)
	if err != nil {
		return err
	}
	if now != c || c.CopyHash == "" {
		return fmt.Errorf("%w: %q or its copy has changed", ErrStale, c.Path)
	}
	there := map[string]*tree.Entry{c.Copy: beside}
	change := map[string]*tree.Entry{c.Copy: nil}
	switch {
	case keep == KeepFile && c.PathHash != "":
	case keep == KeepCopy && (file == nil || isFile(file)):
		if change[c.Path] = beside; file != nil {
			there[c.Path] = file
		}
	case keep == KeepFile, keep == KeepCopy:
		return fmt.Errorf("%w: %q is no file: Keep %q", ErrInvalid, c.Path, keep)
	case keep == KeepBoth:
		name, err := w.free(ctx, c.Path)
		if err != nil {
			return err
		}
		change[name] = beside
	default:
		return fmt.Errorf("%w: Keep %q", ErrInvalid, keep)
	}
	return w.exchange(ctx, there, change)
}

// free finds a name like that of a path, and no copy's, that nothing has.
func (w *work) free(ctx context.Context, path string) (string, error) {
	folder, name := split(path)
	stem, extension := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		stem, extension = name[:i], name[i:]
	}
	for n := 2; ; n++ {
		other := tree.Join(folder, fmt.Sprintf("%s %d%s", stem, n, extension))
		if now, err := w.read(ctx, other); err != nil || now == nil {
			return other, err
		}
	}
}

// exchange makes of some files that are there what a change says.
func (w *work) exchange(ctx context.Context, there, change map[string]*tree.Entry) error {
	ours, err := w.trees.With(ctx, tree.ID{}, there)
	if err != nil {
		return err
	}
	edited, err := w.trees.With(ctx, ours, change)
	if err != nil {
		return err
	}
	w.masked = make(map[string]string)
	if err := w.edit(ctx, ours, edited, false); err != nil {
		return err
	}
	for path, reason := range w.masked {
		return fmt.Errorf("%w: %q: %s", ErrStale, path, reason)
	}
	for _, c := range w.result.Conflicts {
		return fmt.Errorf("%w: %q was edited in the last moment, which is kept as %q", ErrStale, c.Path, c.Copy)
	}
	return nil
}
