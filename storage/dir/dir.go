// Package dir is a directory as a sync.Remote: a local disk, or one that many
// machines have mounted. Of all that put a name, in all processes, one wins: the
// file, written and durable, gets its name by a link, or a rename that replaces
// nothing. A file system that has neither is refused.
//
// Remotes are many of them by name, each a directory in one. Read dir.go, name.go,
// put.go, list.go and remotes.go.
//
// Who is killed leaves what it was putting, one object for each call at most. Open
// removes it once nobody has written into it for a day, by the file system's clock:
// sooner somebody slow may still be at it.
//
// Who can write to the directory can destroy what is there. On Windows names with
// parts such as "con" and "nul" cannot be had.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/upkeep-go/upkeep/internal/durable"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// Config configures a Remote, or Remotes.
type Config struct {
	Path string // required: the directory. It is made, if the one above is there
}

// Remote keeps objects in a directory.
type Remote struct {
	root *os.Root
	disk durable.Disk // root's
	name way          // how a file gets its name

	mu     sync.Mutex
	busy   int // calls under way
	closed bool
	known  map[string]bool // folders that are durable
}

var _ cloudsync.Remote = (*Remote)(nil)

// Open opens the directory. It returns ErrUnsafe if its file system cannot refuse
// a name that is there.
func Open(c Config) (*Remote, error) {
	if err := makeDir(c.Path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return nil, failed("opening the directory", err)
	}
	return open(root, durable.In(root), ways)
}

// makeDir makes the directory of a Config, unless it is there.
func makeDir(path string) error {
	if path == "" {
		return fmt.Errorf("%w: dir: Path is required", cloudsync.ErrInvalid)
	}
	err := durable.OS.Mkdir(path)
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return failed("making the directory", err)
	}
	return nil
}

func open(root *os.Root, disk durable.Disk, ways []way) (*Remote, error) {
	r := &Remote{root: root, disk: disk, known: make(map[string]bool)}
	if err := r.start(ways); err != nil {
		return nil, errors.Join(failed("looking at the directory", err), root.Close())
	}
	return r, nil
}

// Close implements sync.Remote. Calls that are under way end as they would have.
func (r *Remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.busy > 0 {
		return nil // the last one closes it
	}
	return r.root.Close()
}

// enter begins a call, which lasts until done is called.
func (r *Remote) enter(ctx context.Context) (done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, cloudsync.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.busy++
	return r.leave, nil
}

func (r *Remote) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy--; r.closed && r.busy == 0 {
		_ = r.root.Close() // nothing is written by it
	}
}

// on begins a call on an object.
func (r *Remote) on(ctx context.Context, name string) (path string, done func(), err error) {
	done, err = r.enter(ctx)
	if err != nil {
		return "", nil, err
	}
	if err := cloudsync.CheckName(name); err != nil {
		done()
		return "", nil, err
	}
	return file(name), done, nil
}

// Get implements sync.Remote.
func (r *Remote) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	path, done, err := r.on(ctx, name)
	if err != nil {
		return nil, err
	}
	defer done()
	if off < 0 {
		return nil, fmt.Errorf("%w: dir: offset %d", cloudsync.ErrInvalid, off)
	}
	f, err := r.root.Open(path)
	if err != nil {
		return nil, failed("reading", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(failed("reading", err), f.Close())
	}
	rest := max(info.Size()-off, 0)
	if n < 0 || n > rest {
		n = rest
	}
	return &reader{ctx, io.NewSectionReader(f, off, n), f}, nil
}

// reader reads as long as its context lasts.
type reader struct {
	ctx context.Context // of one reading
	*io.SectionReader
	file *os.File
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.SectionReader.Read(p)
}

func (r *reader) Close() error { return r.file.Close() }

// Delete implements sync.Remote. Folders stay, so that nobody who puts misses one.
func (r *Remote) Delete(ctx context.Context, name string) error {
	path, done, err := r.on(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	err = r.disk.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // also what another process, killed since, has removed
		err = r.disk.SyncDir(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return failed("deleting", err)
}

// failed gives an error of the system the name that it has here.
func failed(doing string, err error) error {
	var is error
	switch {
	case err == nil, errors.Is(err, cloudsync.ErrExists):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoFolder):
		is = cloudsync.ErrNotFound
	case isOneOf(err, fullErrors):
		is = cloudsync.ErrFull
	case errors.Is(err, fs.ErrPermission), isOneOf(err, readOnlyErrors):
		is = cloudsync.ErrDenied
	default:
		return fmt.Errorf("dir: %s: %w", doing, err)
	}
	return fmt.Errorf("%w: dir: %s: %w", is, doing, err)
}

func isOneOf(err error, all []error) bool {
	for _, e := range all {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
