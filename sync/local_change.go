package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// Stage implements Files.
func (l *LocalFiles) Stage(ctx context.Context, f File, content io.Reader) error {
	fresh := "new-" + rand.Text()
	file, err := l.begin(f, fresh)
	if err != nil {
		return named(err)
	}
	if file != nil {
		err = l.write(ctx, file, f, content)
	}
	return named(l.reading(f.Path, func(in *os.Root, base string) error { // from the same folder
		if err == nil && file != nil {
			err = in.Chtimes(fresh, f.ModTime, f.ModTime)
		}
		if err == nil && f.Mode.IsDir() {
			err = in.Chmod(fresh, f.Mode.Perm()) // whatever the umask
		}
		if err == nil {
			err = replace(in, fresh, base)
		}
		if err != nil {
			if e := in.Remove(fresh); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		return err
	}))
}

// begin makes an entry of Staging by another name. A file is empty, and open.
func (l *LocalFiles) begin(f File, fresh string) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in, _, err := l.along(&l.own, f.Path)
	switch {
	case err != nil:
		return nil, err
	case f.Mode.IsDir():
		return nil, in.Mkdir(fresh, f.Mode.Perm())
	case f.Mode&fs.ModeSymlink != 0:
		return nil, in.Symlink(f.Link, fresh)
	}
	return in.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL|nonblock, 0o600)
}

const copySize = 64 << 10

var copies = sync.Pool{New: func() any { return new([copySize]byte) }}

// write gives a file its content and permissions, and closes it.
func (l *LocalFiles) write(ctx context.Context, file *os.File, f File, content io.Reader) error {
	buffer := copies.Get().(*[copySize]byte)
	defer copies.Put(buffer)
	_, err := io.CopyBuffer(struct{ io.Writer }{file}, contextual{ctx, content}, buffer[:]) // which has no faster way
	if err == nil {
		err = file.Chmod(f.Mode.Perm()) // whatever the umask
	}
	if err == nil {
		err = l.disk.written(file)
	}
	if e := file.Close(); err == nil {
		err = e
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
func replace(in *os.Root, from, to string) error {
	failed := in.Rename(from, to)
	if failed == nil {
		return nil
	}
	was, err := in.Lstat(to)
	if err != nil {
		return failed
	}
	is, err := in.Lstat(from)
	if err != nil || !was.IsDir() && !is.IsDir() { // it is for another reason
		return failed
	}
	if err := in.Remove(to); err != nil {
		return err
	}
	return in.Rename(from, to)
}

// Place implements Files.
func (l *LocalFiles) Place(_ context.Context, staged, path string) (File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, name, err := l.along(&l.own, staged)
	if err != nil {
		return File{}, err
	}
	to, base, err := l.along(&l.near, path)
	if err != nil {
		return File{}, err
	}
	if err := exchange(l.root, pair{from, name, to, base, staged, path}); err != nil {
		return File{}, named(err)
	}
	l.disk.changed(from.Root)
	l.disk.changed(to.Root)
	return l.file(to.Root, base, path)
}

// Remove implements Files.
func (l *LocalFiles) Remove(_ context.Context, path, staged string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.near
	if above, _ := split(path); above == Staging {
		t = &l.own
	}
	in, base, err := l.along(t, path)
	if err != nil {
		return err
	}
	info, err := in.Lstat(base)
	if err != nil {
		return named(err)
	}
	l.disk.changed(in.Root)
	if info.IsDir() || staged == "" {
		return named(in.Remove(base))
	}
	if err := sound(staged); err != nil {
		return err
	}
	if err := l.root.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return named(err)
	}
	// The folder above is no link, as was just seen; and one that comes into its
	// place now leads nowhere out of the root.
	return named(l.root.Rename(path, staged))
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
	from         *step
	name         string
	to           *step
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
	out := aside(p.staged)
	if err := root.Rename(p.path, out); err != nil {
		return err
	}
	if err := root.Rename(p.staged, p.path); err != nil {
		return errors.Join(err, root.Rename(out, p.path))
	}
	return root.Rename(out, p.staged)
}

func inTheWay(p pair) error { return fmt.Errorf("%w: a folder is at %q", ErrExists, p.path) }
