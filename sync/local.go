package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/nfd"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// LocalFiles are a folder of the system. No path leads out of it, nor through a
// link, whatever somebody puts into its place meanwhile.
type LocalFiles struct {
	path string

	mu   sync.Mutex
	root *os.Root  // once it was used
	now  time.Time // by the file system's clock, a tick before Caps was called
	near trail     // to the folder that was used last
	own  trail     // to Staging
	disk flusher
}

var _ Files = (*LocalFiles)(nil)

// Dir returns the folder at path, which has to be there. It is opened when it is
// first used, and anew by a sync that finds another one there.
//
// What is mounted somewhere in it is sent like all else; what others do to that
// stays a Problem, since nothing can be exchanged with another file system.
//
// Who changes it locks a file of Staging, so that of two Folders of one directory,
// in one process or two, one works at a time: the other one's run fails with
// ErrBusy, if the lock does not come free within seconds. Those with one store wait
// for their lease before that. A file system without locks has no such care.
func Dir(path string) *LocalFiles { return &LocalFiles{path: path} }

// renew lets go of the folder if another one is at its path now: it was replaced,
// or something was mounted there. What is under way in the old one fails.
func (l *LocalFiles) renew() error {
	l.mu.Lock()
	root := l.root
	l.mu.Unlock()
	if root == nil {
		return nil
	}
	there, err := os.Stat(l.path)
	if err != nil {
		return named(err)
	}
	if here, err := root.Stat("."); err == nil && os.SameFile(here, there) {
		return nil
	}
	return l.Close()
}

// Close ends the use of the folder. It may be called twice.
func (l *LocalFiles) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.root == nil {
		return nil
	}
	err := errors.Join(l.leave(), l.root.Close())
	l.root = nil
	return err
}

// open opens the folder, and Staging in it.
func (l *LocalFiles) open() (*os.Root, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened()
}

// opened is open. The mutex is held.
func (l *LocalFiles) opened() (*os.Root, error) {
	if l.root != nil {
		return l.root, nil
	}
	root, err := os.OpenRoot(l.path)
	if err != nil {
		return nil, named(err)
	}
	err = root.Mkdir(Staging, 0o700)
	if errors.Is(err, fs.ErrExist) {
		var info fs.FileInfo
		if info, err = root.Lstat(Staging); err == nil && !info.IsDir() {
			err = fmt.Errorf("%w: %q has to be a folder, in %s", ErrExists, Staging, l.path)
		}
	}
	if err != nil {
		return nil, errors.Join(named(err), root.Close())
	}
	l.root = root
	return root, nil
}

// What passes at most between two changes of one time: by FAT's clock, which is the
// coarsest, and by one that knows parts of a second.
const tick, fineTick = 2 * time.Second, 100 * time.Millisecond

// Caps implements Files. What is changed from then on, or was shortly before, is
// Recent.
func (l *LocalFiles) Caps(context.Context) (caps Caps, err error) {
	if err := l.renew(); err != nil {
		return Caps{}, err
	}
	for range 3 { // somebody may have deleted Staging, or what it has
		if caps, err = l.asked(); !errors.Is(err, fs.ErrNotExist) {
			return caps, err
		}
		if err := l.Close(); err != nil {
			return Caps{}, err
		}
	}
	return caps, err
}

// asked makes a file to see what the tree can hold.
func (l *LocalFiles) asked() (Caps, error) {
	root, err := l.open()
	if err != nil {
		return Caps{}, err
	}
	probe := Staging + "/probe-" + rand.Text()
	now, fine, err := touch(root, probe)
	if err != nil {
		return Caps{}, named(err)
	}
	caps, err := probed(root, probe)
	if e := root.Remove(probe); err == nil {
		err = e
	}
	if err != nil {
		return Caps{}, named(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	caps.Claim = l.claim
	l.now = now.Add(-tick)
	if fine {
		l.now = now.Add(-fineTick)
		caps.Now = l.now
	}
	return caps, l.leave()
}

// touch makes a file, and returns when that was, by the file system's clock, and
// whether that is a fine one.
func touch(root *os.Root, name string) (now time.Time, fine bool, err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return time.Time{}, false, err
	}
	info, err := f.Stat()
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return time.Time{}, false, err
	}
	_, changed := tagOf(info)
	return info.ModTime(), info.ModTime().Nanosecond() != 0 && (changed.IsZero() || changed.Nanosecond() != 0), nil
}

// probed finds what a file system can hold, by a file that is there.
func probed(root *os.Root, probe string) (c Caps, err error) {
	c = Caps{MaxName: 255, Refuses: refuses}
	_, err = root.Lstat(strings.ToUpper(probe))
	c.CaseSensitive = errors.Is(err, fs.ErrNotExist)
	if err := root.Chmod(probe, 0o711); err == nil {
		info, err := root.Lstat(probe)
		if err != nil {
			return c, err
		}
		c.Modes = info.Mode().Perm() == 0o711
	}
	if err := root.Symlink("nowhere", probe+"-link"); err == nil {
		c.Symlinks = true
		if err := root.Remove(probe + "-link"); err != nil {
			return c, err
		}
	}
	if spelt := probe + "-\u00e9"; root.Mkdir(spelt, 0o700) == nil {
		if _, err := root.Lstat(probe + "-e\u0301"); err == nil {
			c.Normal = nfd.Form
		}
		if err := root.Remove(spelt); err != nil {
			return c, err
		}
	}
	c.Free, err = free(root)
	return c, err
}

// sound is an error for a path that is not one of an entry. A name need not be
// UTF-8: the system knows bytes.
func sound(path string) error {
	for name := range strings.SplitSeq(path, "/") {
		if !tree.ValidName(name) {
			return fmt.Errorf("%w: path %q", ErrInvalid, path)
		}
	}
	return nil
}

// List implements Files.
func (l *LocalFiles) List(_ context.Context, folder string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		files, err := l.list(folder)
		if err != nil {
			yield(File{}, err)
			return
		}
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (l *LocalFiles) list(name string) ([]File, error) {
	var files []File
	err := l.reading(tree.Join(name, "x"), func(in *os.Root, _ string) error {
		f, err := in.Open(".")
		if err != nil {
			return named(err)
		}
		defer f.Close()                  // nothing was written
		names, err := f.Readdirnames(-1) // without what each is, which is found out below
		if err != nil {
			return named(err)
		}
		slices.Sort(names)
		files = make([]File, 0, len(names))
		for _, base := range names {
			if name == "" && base == Staging || name == Staging && base == claimName {
				continue
			}
			path := tree.Join(name, base)
			if file, ok := l.regular(f.Fd(), base, path); ok {
				files = append(files, file)
				continue
			}
			file, err := l.file(in, base, path)
			switch {
			case isNotFound(err): // it has gone meanwhile
			case err != nil:
				return err
			default:
				files = append(files, file)
			}
		}
		return nil
	})
	return files, err
}

// file describes an entry of a folder. The mutex is held.
func (l *LocalFiles) file(in *os.Root, name, path string) (File, error) {
	info, err := in.Lstat(name)
	if err != nil {
		return File{}, named(err)
	}
	f := File{Path: path, Mode: info.Mode(), ModTime: info.ModTime()}
	var changed time.Time
	f.Tag, changed = tagOf(info)
	f.Recent = l.recent(f.ModTime, changed)
	switch {
	case info.Mode().IsRegular():
		f.Size = info.Size()
	case info.Mode()&fs.ModeSymlink != 0:
		if f.Link, err = in.Readlink(name); err != nil {
			return File{}, named(err)
		}
	}
	return f, nil
}

// recent reports whether one of the times is not past, or may not be.
func (l *LocalFiles) recent(written, changed time.Time) bool {
	return !later(written, changed).Before(l.now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Stat implements Files.
func (l *LocalFiles) Stat(_ context.Context, path string) (File, error) {
	var f File
	err := l.reading(path, func(in *os.Root, base string) (err error) {
		f, err = l.file(in, base, path)
		return err
	})
	return f, err
}

// Open implements Files.
func (l *LocalFiles) Open(_ context.Context, path string) (io.ReadCloser, error) {
	var f *os.File
	err := l.reading(path, func(in *os.Root, base string) (err error) {
		f, err = openFile(in, base, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openFile opens a file that is no link.
func openFile(in *os.Root, base, path string) (*os.File, error) {
	info, err := in.Lstat(base)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %q is no file", ErrNotFound, path)
	}
	if err != nil {
		return nil, named(err)
	}
	f, err := in.OpenFile(base, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, named(err)
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, errors.Join(fmt.Errorf("%w: %q has been exchanged", ErrNotFound, path), err, f.Close())
	}
	return f, nil
}

// named gives errors of the system the names that they have here.
func named(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, syscall.ENOTEMPTY):
		return fmt.Errorf("%w: %w", ErrNotEmpty, err)
	case errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("the name cannot be had here: %w: %w", fs.ErrPermission, err)
	case isAny(err, heldErrors):
		return fmt.Errorf("%w: %w", fs.ErrPermission, err)
	case isAny(err, fullErrors):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func isAny(err error, those []error) bool {
	return slices.ContainsFunc(those, func(e error) bool { return errors.Is(err, e) })
}
