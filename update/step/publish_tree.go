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
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// The folder beside dir holds trees, and of an interrupted or undone publish
// trees with one of these endings.
const (
	aside  = ".aside"
	undone = ".undone"
)

// beside returns the path of a name in the folder beside dir.
func (p *publisher) beside(name string) string {
	return filepath.Join(filepath.Dir(p.dir), "."+filepath.Base(p.dir)+".upkeep", name)
}

// switched tells whether the tree with this digest, which is or was in the
// folder beside dir under the name other, has been switched to dir. It first
// completes a switch that was interrupted between two renames. It looks at
// the folder beside dir because nobody else writes there.
func (p *publisher) switched(ctx context.Context, t *update.Task, other, tree string) (bool, error) {
	if exists(p.beside(other + aside)) {
		return true, p.slowSwap(other)
	}
	got, err := digest(ctx, t, p.beside(other))
	if errors.Is(err, fs.ErrNotExist) {
		return exists(p.dir), nil // switched to where nothing was
	}
	return got != tree, err
}

// swap exchanges dir and the tree called other, or moves that to dir if
// nothing is there.
func (p *publisher) swap(other string) error {
	if !exists(p.dir) {
		if err := os.Rename(p.beside(other), p.dir); err != nil {
			return err
		}
		return p.sync()
	}
	err := p.exchange(p.beside(other), p.dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return p.slowSwap(other)
	}
	if err != nil {
		return err
	}
	return p.sync()
}

// slowSwap is swap by renames. The names tell how far it got, and it goes on
// from there.
func (p *publisher) slowSwap(other string) error {
	tree, old := p.beside(other), p.beside(other+aside)
	if !exists(old) {
		if err := os.Rename(p.dir, old); err != nil {
			return err
		}
	}
	if !exists(p.dir) {
		if err := os.Rename(tree, p.dir); err != nil {
			return err
		}
	}
	if err := os.Rename(old, tree); err != nil {
		return err
	}
	return p.sync()
}

// sync makes a switch durable.
func (p *publisher) sync() error {
	return errors.Join(durable.SyncDir(filepath.Dir(p.dir)), durable.SyncDir(p.beside("")))
}

// sweep removes what is beside dir but the tree called keep and, of the
// others, the newest that was not undone.
func (p *publisher) sweep(keep string) error {
	entries, err := os.ReadDir(p.beside(""))
	if err != nil {
		return err
	}
	slices.Reverse(entries) // the names begin with the time
	kept := 0
	for _, e := range entries {
		name := e.Name()
		if name == keep {
			continue
		}
		if kept == 0 && !strings.HasSuffix(name, undone) {
			kept++
			continue
		}
		if err := os.RemoveAll(p.beside(name)); err != nil {
			return err
		}
	}
	return nil
}

// file is a file or folder of a release.
type file struct {
	name string // slash-separated, sorted so that a folder comes before its files
	mode fs.FileMode
}

// files lists a release.
func (p *publisher) files(r update.Release) (list []file, err error) {
	tree, err := p.src(r)
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

// stage writes the tree of a release, durably, beside dir.
func (p *publisher) stage(ctx context.Context, t *update.Task, name string) error {
	list, err := p.files(t.Release)
	if err != nil {
		return err
	}
	tree, err := p.src(t.Release)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(p.beside(name)); err != nil { // of an earlier attempt
		return err
	}
	if err := os.Mkdir(p.beside(""), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Mkdir(p.beside(name), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(p.beside(name))
	if err != nil {
		return err
	}
	defer root.Close()
	folders := []string{"."}
	for i, f := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f.mode.IsDir() {
			folders = append(folders, f.name)
			err = root.Mkdir(f.name, 0o755)
		} else {
			err = writeFile(root, tree, f, func(r io.Reader) io.Reader {
				return steady(ctx, r, func(n int64) {
					t.Progress(int64(i), int64(len(list)), fmt.Sprintf("%s: %d bytes written", f.name, n))
				})
			})
		}
		if err != nil {
			return err
		}
		t.Progress(int64(i+1), int64(len(list)), "")
	}
	for _, name := range slices.Backward(folders) {
		if err := root.Chmod(name, 0o755); err != nil { // whatever the umask
			return err
		}
		if err := durable.SyncDir(filepath.Join(root.Name(), name)); err != nil {
			return err
		}
	}
	return p.sync()
}

func writeFile(root *os.Root, tree fs.FS, f file, watch func(io.Reader) io.Reader) error {
	from, err := tree.Open(f.name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, watch(from))
	return errors.Join(err, to.Chmod(f.mode), to.Sync(), to.Close())
}

// digest is the SHA-256 of a tree's names, modes and contents. Links are not
// followed.
func digest(ctx context.Context, t *update.Task, dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	sum := sha256.New()
	n := int64(0)
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n++
		sign := func(int64) { t.Progress(0, 0, fmt.Sprintf("%d files read", n)) }
		sign(0)
		info, err := e.Info()
		if err != nil {
			return err
		}
		return digestEntry(sum, root, file{name, info.Mode()}, func(r io.Reader) io.Reader { return steady(ctx, r, sign) })
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

func digestEntry(sum io.Writer, root *os.Root, e file, watch func(io.Reader) io.Reader) error {
	fmt.Fprintf(sum, "%q %s ", e.name, e.mode)
	switch {
	case e.mode&fs.ModeSymlink != 0:
		target, err := root.Readlink(e.name)
		fmt.Fprintf(sum, "%q", target)
		return err
	case e.mode.IsRegular():
		f, err := root.Open(e.name)
		if err != nil {
			return err
		}
		defer f.Close()
		content := sha256.New()
		if _, err := io.Copy(content, watch(f)); err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%x", content.Sum(nil))
		return err
	}
	return nil
}

// exists reports whether there is anything at path, a dead link included.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
