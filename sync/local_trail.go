package sync

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// trail is the way to a folder. It stays open, so that who comes again has only to
// look whether each folder on it is still the one that has its name. None of them
// was a link when it was opened.
type trail struct {
	path  string // of the folder
	steps []step // from the root on; none of a trail that is not open
}

// step is a folder on a trail.
type step struct {
	*os.Root
	name string
	info fs.FileInfo
	file *os.File // for what changes two folders at once; nil if it was not needed yet
}

// maxSteps is how many folders of a trail stay open at most. Those between the last
// of them and its end are opened each time.
const maxSteps = 32

// walk goes to the folder that has a path now.
func (t *trail) walk(root *os.Root, path string) (*step, error) {
	if len(t.steps) == 0 {
		top, err := root.OpenRoot(".")
		if err != nil {
			return nil, named(err)
		}
		t.steps = append(t.steps, step{Root: top})
	}
	at := 0
	for name, rest := "", path; rest != ""; {
		name, rest, _ = strings.Cut(rest, "/")
		var err error
		if at, err = t.enter(at, name); err != nil {
			return nil, errors.Join(err, t.leave(0))
		}
	}
	t.path = path
	return &t.steps[at], t.leave(at + 1)
}

// enter goes from one folder on the trail into one in it, which is no link.
func (t *trail) enter(at int, name string) (int, error) {
	info, err := t.steps[at].Lstat(name)
	if err != nil {
		return 0, named(err)
	}
	if next := at + 1; next < len(t.steps) && t.steps[next].name == name && os.SameFile(t.steps[next].info, info) {
		return next, nil
	}
	if !info.IsDir() {
		return 0, fmt.Errorf("%w: %q is no folder", ErrNotFound, name)
	}
	inner, err := t.steps[at].OpenRoot(name)
	if err != nil {
		return 0, named(err)
	}
	if now, err := inner.Stat("."); err != nil || !os.SameFile(info, now) {
		return 0, errors.Join(fmt.Errorf("%w: %q has been exchanged", ErrNotFound, name), err, inner.Close())
	}
	keep := min(at+1, maxSteps-1)
	err = t.leave(keep)
	t.steps = append(t.steps, step{Root: inner, name: name, info: info})
	return keep, err
}

// leave closes all but so many of the folders.
func (t *trail) leave(keep int) (err error) {
	for _, s := range t.steps[keep:] {
		if s.file != nil {
			err = errors.Join(err, s.file.Close())
		}
		err = errors.Join(err, s.Close())
	}
	t.steps = t.steps[:keep]
	return err
}

// open returns the folder as what renames from one into another need it.
func (s *step) open() (_ *os.File, err error) {
	if s.file == nil {
		s.file, err = s.Open(".")
	}
	return s.file, err
}

// leave lets go of all folders but the root. The mutex is held.
func (l *LocalFiles) leave() error { return errors.Join(l.near.leave(0), l.own.leave(0)) }

// along returns the folder that has a path, on a trail, and the last name of that.
// The folder has that path now. The mutex is held, until the folder is used no more.
func (l *LocalFiles) along(t *trail, path string) (in *step, base string, err error) {
	if err := sound(path); err != nil {
		return nil, "", err
	}
	root, err := l.opened()
	if err != nil {
		return nil, "", err
	}
	above, base := split(path)
	in, err = t.walk(root, above)
	return in, base, err
}

// reading calls f with the folder that has a path, for what changes nothing, and
// the last name of that. The folder may be the one that was there before.
func (l *LocalFiles) reading(path string, f func(folder *os.Root, base string) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	above, base := split(path)
	t := &l.near
	if above == Staging {
		t = &l.own
	}
	if len(t.steps) > 0 && t.path == above && tree.ValidName(base) {
		return f(t.steps[len(t.steps)-1].Root, base)
	}
	in, base, err := l.along(t, path)
	if err != nil {
		return err
	}
	return f(in.Root, base)
}
