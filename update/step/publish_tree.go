package step

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/update"
)

// file is a file or folder of a release.
type file struct {
	name string // slash-separated, sorted so that a folder comes before its files
	mode fs.FileMode
}

// files lists a release.
func (p *publisher) files(r update.Release) (list []file, err error) {
	tree, err := p.Files(r)
	if err != nil {
		return nil, err
	}
	regular := 0
	err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if _, err := filepath.Localize(name); err != nil {
			return fmt.Errorf("step: %q cannot be a file name", name)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			list = append(list, file{name, fs.ModeDir | 0o755})
		case info.Mode().IsRegular():
			regular++
			mode := fs.FileMode(0o644)
			if info.Mode()&0o111 != 0 {
				mode = 0o755
			}
			list = append(list, file{name, mode})
		default:
			return fmt.Errorf("step: %q is neither a file nor a folder", name)
		}
		return nil
	})
	if err == nil && regular == 0 {
		err = fmt.Errorf("step: release %s has no files", r.Version)
	}
	return list, err
}

// stage writes the tree of a release, durably, beside Dir, and what it
// consists of.
func (p *publisher) stage(ctx context.Context, t *update.Task, id string) error {
	part := p.beside(id + partly)
	if exists(p.beside(id + ready)) {
		return nil // it had its name already
	}
	if err := os.Mkdir(p.beside(""), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := p.sweepStaged(ctx, t, func(other string) bool { return other != id }); err != nil {
		say(t, "what an earlier publish has left could not be removed: "+err.Error())
	}
	if err := remove.All(ctx, part, signs(t, "%d files removed")); err != nil { // of an earlier attempt
		return err
	}
	if err := os.Mkdir(part, 0o755); err != nil {
		return err
	}
	m, err := p.write(ctx, t, part)
	if err != nil {
		return err
	}
	if err := p.writeManifest(id, m); err != nil {
		return err
	}
	return errors.Join(p.rename(part, p.beside(id+ready)), p.sync())
}

// write writes the files of a release into the folder dir.
func (p *publisher) write(ctx context.Context, t *update.Task, dir string) (m manifest, err error) {
	list, err := p.files(t.Release)
	if err != nil {
		return m, err
	}
	tree, err := p.Files(t.Release)
	if err != nil {
		return m, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return m, err
	}
	defer root.Close()
	for i, f := range list {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		if f.mode.IsDir() {
			m.Folders = append(m.Folders, f.name)
			err = root.Mkdir(f.name, 0o755)
		} else {
			var e placed
			e, err = writeFile(root, tree, f, func(r io.Reader) io.Reader {
				return steady(ctx, r, func(n int64) {
					t.Progress(int64(i), int64(len(list)), fmt.Sprintf("%s: %d bytes written", f.name, n))
				})
			})
			m.Files = append(m.Files, e)
		}
		if err != nil {
			return m, err
		}
		t.Progress(int64(i+1), int64(len(list)), "")
	}
	for _, name := range slices.Backward(append([]string{"."}, m.Folders...)) {
		if err := root.Chmod(name, 0o755); err != nil { // whatever the umask
			return m, err
		}
		if err := durable.SyncDir(filepath.Join(root.Name(), name)); err != nil {
			return m, err
		}
	}
	return m, nil
}

func writeFile(root *os.Root, tree fs.FS, f file, watch func(io.Reader) io.Reader) (placed, error) {
	from, err := tree.Open(f.name)
	if err != nil {
		return placed{}, err
	}
	defer from.Close()
	to, err := root.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return placed{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), watch(from))
	err = errors.Join(err, to.Chmod(f.mode), to.Sync(), to.Close())
	return placed{Name: f.name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// stamp gives what is in the folder tree a time by which nobody takes what was
// served from Dir for it: one in whole seconds, as they are in HTTP, after all
// times there. What lives on stays as it is. What cannot be touched is told.
func (p *publisher) stamp(ctx context.Context, t *update.Task, tree string, living []string) error {
	last, sign := time.Now(), signs(t, "%d times looked at")
	err := eachIn(ctx, p.Dir, living, func(_ string, info fs.FileInfo) error {
		sign()
		if info != nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		say(t, "browsers may take what they have for current: "+err.Error())
		return nil
	}
	defer root.Close()
	at := last.Truncate(time.Second).Add(time.Second)
	var bad strays
	err = eachIn(ctx, tree, nil, func(name string, info fs.FileInfo) error {
		sign()
		if info == nil || (info.IsDir() || info.Mode().IsRegular()) && root.Chtimes(filepath.FromSlash(name), time.Time{}, at) != nil {
			bad.add(name)
		}
		return nil
	})
	if bad.n > 0 {
		say(t, "browsers may take what they have for current, for it could not be touched: "+bad.String())
	}
	return err
}

// eachIn calls f for a folder and what is in it, but for what one of the
// patterns names. info is nil for what cannot be looked at. It ends with
// the error of f; fs.SkipAll is none.
func eachIn(ctx context.Context, dir string, but []string, f func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, path)
		name := filepath.ToSlash(rel)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case relErr != nil:
			return relErr
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return f(name, nil)
		case isKept(name, but):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if !errors.Is(err, fs.ErrNotExist) {
			return f(name, info)
		}
		return nil
	})
}

// signs returns what shows, each time, that the step lives.
func signs(t *update.Task, format string) func() {
	n := int64(0)
	return func() {
		if n++; n%64 == 0 {
			t.Progress(0, 0, fmt.Sprintf(format, n))
		}
	}
}
