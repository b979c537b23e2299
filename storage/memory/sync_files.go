package memory

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// Files is a tree of files in memory, the sync.Files of tests. What people do in
// it is in Person. It knows modes, links and case, and no name is too long. It is
// safe for concurrent use.
type Files struct {
	db      *DB
	all     map[string]*file
	changes int64 // so far: what tells two edits of one moment apart
}

// file is an entry of Files. It is changed in place.
type file struct {
	mode    fs.FileMode
	content string // or the target of a link
	mtime   time.Time
	born    int64     // the change that made it
	change  int64     // the last one
	changed time.Time // when that was
}

// tick is how long a change is recent, as a file system's clock would make it.
const tick = 10 * time.Millisecond

var _ cloudsync.Files = (*Files)(nil)

// Files returns the tree of a name. It goes with the engine.
func (db *DB) Files(name string) *Files { return storeOf(db, name, newFiles) }

func newFiles(db *DB, _ storage.Retention) *Files {
	return &Files{db: db, all: make(map[string]*file)}
}

// forget implements store.
func (s *Files) forget() { s.all = nil }

// lock takes the mutex for a call on paths, unless the call must not begin.
func (s *Files) lock(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		if path == "." || !fs.ValidPath(path) {
			return fmt.Errorf("%w: path %q", cloudsync.ErrInvalid, path)
		}
	}
	return s.db.lock(ctx)
}

// put makes an entry that is new, in the place of what is there and below.
func (s *Files) put(path string, mode fs.FileMode, content string, mtime time.Time) *file {
	s.remove(path)
	s.changes++
	f := &file{mode: mode, content: content, mtime: mtime, born: s.changes}
	s.all[path] = f
	s.touch(f)
	return f
}

// touch notes a change of an entry.
func (s *Files) touch(f *file) {
	s.changes++
	f.change, f.changed = s.changes, time.Now()
}

// remove deletes a path and what is below.
func (s *Files) remove(path string) {
	maps.DeleteFunc(s.all, func(other string, _ *file) bool { return other == path || strings.HasPrefix(other, path+"/") })
}

// above makes the folders above a path.
func (s *Files) above(path string) {
	for i, b := range []byte(path) {
		if b == '/' && !s.folder(path[:i]) {
			s.put(path[:i], fs.ModeDir|0o755, "", time.Now())
		}
	}
}

// folder reports whether there is one at a path, "" for the tree.
func (s *Files) folder(path string) bool {
	f := s.all[path]
	return path == "" || f != nil && f.mode.IsDir()
}

// describe says what an entry is.
func (f *file) describe(path string) cloudsync.File {
	d := cloudsync.File{
		Path: path, Mode: f.mode, ModTime: f.mtime, Tag: fmt.Sprint(f.born, " ", f.change), Recent: time.Since(f.changed) < tick,
	}
	switch {
	case f.mode.IsRegular():
		d.Size = int64(len(f.content))
	case f.mode&fs.ModeSymlink != 0:
		d.Link = f.content
	}
	return d
}

func absent(path string) error { return fmt.Errorf("%w: %q", cloudsync.ErrNotFound, path) }

// Caps implements sync.Files.
func (s *Files) Caps(ctx context.Context) (cloudsync.Caps, error) {
	if err := s.lock(ctx); err != nil {
		return cloudsync.Caps{}, err
	}
	defer s.db.mu.Unlock()
	return cloudsync.Caps{Modes: true, Symlinks: true, CaseSensitive: true, Free: 1 << 40}, nil
}

// List implements sync.Files.
func (s *Files) List(ctx context.Context, folder string) iter.Seq2[cloudsync.File, error] {
	return func(yield func(cloudsync.File, error) bool) {
		all, err := s.listed(ctx, folder)
		if err != nil {
			yield(cloudsync.File{}, err)
			return
		}
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// listed are the entries of a folder, by name.
func (s *Files) listed(ctx context.Context, folder string) (all []cloudsync.File, err error) {
	var paths []string
	prefix := ""
	if folder != "" {
		paths, prefix = []string{folder}, folder+"/"
	}
	if err := s.lock(ctx, paths...); err != nil {
		return nil, err
	}
	defer s.db.mu.Unlock()
	if !s.folder(folder) {
		return nil, absent(folder)
	}
	for _, path := range slices.Sorted(maps.Keys(s.all)) {
		name, below := strings.CutPrefix(path, prefix)
		if below && !strings.Contains(name, "/") && path != cloudsync.Staging {
			all = append(all, s.all[path].describe(path))
		}
	}
	return all, nil
}

// Stat implements sync.Files.
func (s *Files) Stat(ctx context.Context, path string) (cloudsync.File, error) {
	if err := s.lock(ctx, path); err != nil {
		return cloudsync.File{}, err
	}
	defer s.db.mu.Unlock()
	if f := s.all[path]; f != nil {
		return f.describe(path), nil
	}
	return cloudsync.File{}, absent(path)
}

// Open implements sync.Files.
func (s *Files) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := s.lock(ctx, path); err != nil {
		return nil, err
	}
	defer s.db.mu.Unlock()
	if f := s.all[path]; f != nil && f.mode.IsRegular() {
		return io.NopCloser(strings.NewReader(f.content)), nil
	}
	return nil, absent(path)
}

// Stage implements sync.Files.
func (s *Files) Stage(ctx context.Context, f cloudsync.File, content io.Reader) error {
	if err := s.lock(ctx, f.Path); err != nil {
		return err
	}
	s.db.mu.Unlock() // for what reads the content
	text := f.Link
	if content != nil {
		data, err := io.ReadAll(content)
		if err != nil {
			return fmt.Errorf("staging %q: %w", f.Path, err)
		}
		text = string(data)
	}
	if err := s.lock(ctx, f.Path); err != nil {
		return err
	}
	defer s.db.mu.Unlock()
	s.above(f.Path)
	s.put(f.Path, f.Mode, text, f.ModTime)
	return nil
}

// Place implements sync.Files.
func (s *Files) Place(ctx context.Context, staged, path string) (cloudsync.File, error) {
	if err := s.lock(ctx, staged, path); err != nil {
		return cloudsync.File{}, err
	}
	defer s.db.mu.Unlock()
	in, out := s.all[staged], s.all[path]
	switch {
	case in == nil:
		return cloudsync.File{}, absent(staged)
	case !s.folder(path[:max(0, strings.LastIndexByte(path, '/'))]):
		return cloudsync.File{}, fmt.Errorf("%w: the folder of %q", cloudsync.ErrNotFound, path)
	case out != nil && out.mode.IsDir():
		return cloudsync.File{}, fmt.Errorf("%w: the folder %q", cloudsync.ErrExists, path)
	}
	delete(s.all, staged)
	if out != nil {
		s.all[staged] = out
		s.touch(out)
	}
	s.all[path] = in
	s.touch(in)
	return in.describe(path), nil
}

// Remove implements sync.Files.
func (s *Files) Remove(ctx context.Context, path, staged string) error {
	paths := []string{path}
	if staged != "" {
		paths = append(paths, staged)
	}
	if err := s.lock(ctx, paths...); err != nil {
		return err
	}
	defer s.db.mu.Unlock()
	out := s.all[path]
	if out == nil {
		return absent(path)
	}
	for other := range s.all {
		if strings.HasPrefix(other, path+"/") {
			return fmt.Errorf("%w: %q", cloudsync.ErrNotEmpty, path)
		}
	}
	delete(s.all, path)
	if staged != "" {
		s.above(staged)
		s.remove(staged)
		s.all[staged] = out
		s.touch(out)
	}
	return nil
}

// Flush implements sync.Files: there is nothing to make durable.
func (s *Files) Flush(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	s.db.mu.Unlock()
	return nil
}
