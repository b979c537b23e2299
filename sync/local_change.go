package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Stage implements Files.
func (l *LocalFiles) Stage(ctx context.Context, f File, content io.Reader) error {
	in, base, err := l.above(f.Path)
	if err != nil {
		return err
	}
	defer in.Close() // everything is closed by itself
	fresh := "new-" + rand.Text()
	switch {
	case f.Mode.IsDir():
		err = in.Mkdir(fresh, f.Mode.Perm())
	case f.Mode&fs.ModeSymlink != 0:
		err = in.Symlink(f.Link, fresh)
	default:
		err = l.write(ctx, in, fresh, f, content)
	}
	if err == nil && f.Mode&fs.ModeSymlink == 0 {
		err = in.Chmod(fresh, f.Mode.Perm()) // whatever the umask
	}
	if err == nil {
		err = l.replace(in, fresh, base)
	}
	if err != nil {
		if e := in.Remove(fresh); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return named(err)
}

// write makes a file, with all but its permissions.
func (l *LocalFiles) write(ctx context.Context, in *os.Root, name string, f File, content io.Reader) error {
	file, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, contextual{ctx, content})
	if err == nil {
		err = l.disk.written(file)
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = in.Chtimes(name, f.ModTime, f.ModTime)
	}
	return err
}

// contextual is a reader that ends with a context.
type contextual struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (c contextual) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.Reader.Read(p)
}

// replace gives an entry of Staging a name there, in the place of whatever has it.
func (l *LocalFiles) replace(in *os.Root, from, to string) error {
	if info, err := in.Lstat(to); err == nil && info.IsDir() {
		if err := in.Remove(to); err != nil {
			return err
		}
	}
	if info, err := in.Lstat(from); err == nil && info.IsDir() {
		if err := in.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return in.Rename(from, to)
}

// Place implements Files.
func (l *LocalFiles) Place(_ context.Context, staged, path string) (File, error) {
	from, name, err := l.above(staged)
	if err != nil {
		return File{}, err
	}
	defer from.Close() // nothing was written
	to, base, err := l.above(path)
	if err != nil {
		return File{}, err
	}
	defer to.Close()
	root, err := l.open()
	if err == nil {
		err = exchange(root, pair{from, name, to, base, staged, path})
	}
	if err != nil {
		return File{}, named(err)
	}
	l.disk.changed(from)
	l.disk.changed(to)
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.file(to, base, path)
	if f.Mode.IsDir() { // in the place of one that may be open
		err = errors.Join(err, l.leave())
	}
	return f, err
}

// Remove implements Files.
func (l *LocalFiles) Remove(_ context.Context, path, staged string) error {
	in, base, err := l.above(path)
	if err != nil {
		return err
	}
	defer in.Close() // nothing was written
	info, err := in.Lstat(base)
	if err != nil {
		return named(err)
	}
	l.disk.changed(in)
	if info.IsDir() || staged == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		return named(errors.Join(in.Remove(base), l.leave()))
	}
	root, err := l.open()
	if err == nil {
		err = sound(staged)
	}
	if err != nil {
		return err
	}
	if err := root.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return named(err)
	}
	// The folder above is no link, as was just seen; and one that comes into its
	// place now leads nowhere out of the root.
	return named(root.Rename(path, staged))
}

// Flush implements Files.
func (l *LocalFiles) Flush(context.Context) error {
	root, err := l.open()
	if err != nil {
		return err
	}
	return named(l.disk.flush(root))
}

// pair are two entries, by the folder that has each and its name there, and by
// their paths.
type pair struct {
	from         *os.Root
	name         string
	to           *os.Root
	base         string
	staged, path string
}

// slowly exchanges two entries where the system cannot do it at once: what has
// the name is moved aside first, and for a moment nothing has it.
func slowly(root *os.Root, p pair) error {
	info, err := p.to.Lstat(p.base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return root.Rename(p.staged, p.path)
	case err != nil:
		return err
	case info.IsDir():
		return inTheWay(p)
	}
	aside := p.staged + "-aside"
	if err := root.Rename(p.path, aside); err != nil {
		return err
	}
	if err := root.Rename(p.staged, p.path); err != nil {
		return errors.Join(err, root.Rename(aside, p.path))
	}
	return root.Rename(aside, p.staged)
}

func inTheWay(p pair) error { return fmt.Errorf("%w: a folder is at %q", ErrExists, p.path) }
