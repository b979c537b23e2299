package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

const (
	fresh = "+new"         // the folder of what is being put, which is no object's
	stale = 24 * time.Hour // how long a file there is left alone
)

// PutIfAbsent implements sync.Remote.
func (r *Remote) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	path, done, err := r.on(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	if _, err := r.root.Lstat(path); err == nil {
		return r.exists(name, path)
	}
	temp := fresh + "/" + rand.Text()
	if err := r.write(ctx, temp, body); err != nil {
		return err
	}
	err = r.place(ctx, temp, path)
	if e := r.disk.Remove(temp); err == nil && !errors.Is(e, fs.ErrNotExist) { // a rename has taken it
		err = e
	}
	if errors.Is(err, fs.ErrExist) {
		return r.exists(name, path)
	}
	if err == nil {
		err = r.disk.SyncDir(filepath.Dir(path))
	}
	return failed("putting", err)
}

// exists is ErrExists. Who is told so may rely on it: so it is durable, even if
// who has put it was killed before.
func (r *Remote) exists(name, path string) error {
	err := r.folders(filepath.Dir(path))
	if err == nil {
		err = r.disk.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return failed("putting", err)
	}
	return fmt.Errorf("%w: %q", cloudsync.ErrExists, name)
}

// write makes a durable file of the body, or none.
func (r *Remote) write(ctx context.Context, temp string, body cloudsync.Body) error {
	f, err := r.disk.Create(temp)
	if errors.Is(err, fs.ErrNotExist) { // somebody tidied up
		_ = r.disk.Mkdir(fresh)
		f, err = r.disk.Create(temp)
	}
	if err != nil {
		return failed("putting", err)
	}
	err = copyBody(ctx, f, body)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = r.disk.Remove(temp) // else the next Open does
	}
	return failed("putting", err)
}

const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func copyBody(ctx context.Context, w io.Writer, body cloudsync.Body) error {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for off, size := int64(0), body.Size(); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		want := int(min(size-off, bufferSize))
		n, err := body.ReadAt(buffer[:want], off)
		switch {
		case n == want:
		case err == nil, errors.Is(err, io.EOF):
			return fmt.Errorf("the body has %d bytes of %d: %w", off+int64(n), size, io.ErrUnexpectedEOF)
		default:
			return err
		}
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// place gives a file its name.
func (r *Remote) place(ctx context.Context, temp, path string) error {
	for try := 0; ; try++ {
		if err := r.folders(filepath.Dir(path)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.give(temp, path)
		if try > 0 || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.mu.Lock()
		clear(r.known) // somebody tidied up
		r.mu.Unlock()
	}
}

// give gives a file its name once. An error may be that of a second try, which the
// system makes when the answer to the first, which had effect, was lost: so it is
// looked who has the name.
func (r *Remote) give(temp, path string) error {
	mine, err := r.root.Lstat(temp)
	if err != nil {
		return err
	}
	err = r.name.give(r, temp, path)
	if err == nil {
		return nil
	}
	if has, e := r.root.Lstat(path); e == nil && os.SameFile(mine, has) {
		return nil
	}
	if left, e := r.root.Lstat(temp); e == nil && links(left) > links(mine) {
		return nil
	}
	return err
}

// folders makes a folder, and those above, durable.
func (r *Remote) folders(folder string) error {
	r.mu.Lock()
	known := r.known[folder]
	r.mu.Unlock()
	if folder == "." || known {
		return nil
	}
	above := filepath.Dir(folder)
	if err := r.folders(above); err != nil {
		return err
	}
	if err := r.disk.Mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := r.disk.SyncDir(above); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[folder] = true
	return nil
}

// way is how a file gets a name that nothing has.
type way struct {
	give func(r *Remote, temp, path string) error
	none []error // errors of a file system that has no such way
}

var ways = []way{
	{func(r *Remote, temp, path string) error { return r.disk.Link(temp, path) }, noLinks},
	{func(r *Remote, temp, path string) error { return renameNew(r.root, temp, path) }, noRenames},
}

// start tidies up, and finds a way that the file system has.
func (r *Remote) start(ways []way) error {
	if err := r.disk.Mkdir(fresh); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	probe := fresh + "/" + rand.Text()
	now, err := r.probe(probe+"-1", "first")
	if err != nil {
		return err
	}
	_, err = r.probe(probe+"-2", "the second")
	if err == nil {
		err = r.try(ways, probe)
	}
	for _, name := range []string{probe, probe + "-1", probe + "-2"} {
		if e := r.disk.Remove(name); err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	if err != nil {
		return err
	}
	return r.tidy(now)
}

// probe makes a file, and returns when that was, by the file system's clock.
func (r *Remote) probe(name, content string) (time.Time, error) {
	f, err := r.disk.Create(name)
	if err != nil {
		return time.Time{}, err
	}
	_, err = f.Write([]byte(content))
	if err = errors.Join(err, f.Close()); err != nil {
		return time.Time{}, err
	}
	info, err := r.root.Lstat(name)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// try puts two files under one name, in each way.
func (r *Remote) try(ways []way, probe string) error {
	var last error
	for _, w := range ways {
		r.name = w
		err := r.give(probe+"-1", probe)
		if isOneOf(err, w.none) {
			last = err
			continue
		}
		if err != nil {
			return err
		}
		if err = r.give(probe+"-2", probe); !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: a second put of a name: %w", cloudsync.ErrUnsafe, err)
		}
		info, err := r.root.Lstat(probe)
		if err == nil && info.Size() != int64(len("first")) {
			err = fmt.Errorf("%w: a second put of a name has effect", cloudsync.ErrUnsafe)
		}
		return err
	}
	return fmt.Errorf("%w: the file system has neither links nor renames that replace nothing: %w", cloudsync.ErrUnsafe, last)
}

// tidy removes what was left by who was killed.
func (r *Remote) tidy(now time.Time) error {
	var old []string
	err := r.names(fresh, func(name string) { old = append(old, fresh+"/"+name) })
	for _, name := range old {
		info, e := r.root.Lstat(name)
		if e == nil && now.Sub(info.ModTime()) > stale {
			e = r.disk.Remove(name)
		}
		if err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	return err
}
