package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/storage"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// remotes are the remotes of an engine, and its sync.Remotes.
type remotes struct {
	db  *DB
	all map[string]*space
}

// space is what one remote has.
type space struct {
	objects map[string]object
	created bool // by Create
	removed bool
}

type object struct {
	content []byte // never written to
	at      time.Time
}

// Remotes returns the remotes of package sync that are made by name.
func (db *DB) Remotes() cloudsync.Remotes { return storeOf(db, "", newRemotes) }

// Remote returns a remote of package sync, which needs no Create.
func (db *DB) Remote(name string) cloudsync.Remote {
	return &remote{on: storeOf(db, "", newRemotes), name: name}
}

func newRemotes(db *DB, _ storage.Retention) *remotes {
	return &remotes{db: db, all: make(map[string]*space)}
}

// Open implements sync.Remotes.
func (s *remotes) Open(ctx context.Context, name string) (cloudsync.Remote, error) {
	if err := s.db.lock(ctx); err != nil {
		return nil, err
	}
	defer s.db.mu.Unlock()
	found := s.all[name]
	if found == nil || !found.created {
		return nil, fmt.Errorf("%w: remote %q", cloudsync.ErrNotFound, name)
	}
	return &remote{on: s, name: name, opened: found}, nil
}

// List implements sync.Remotes.
func (s *remotes) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.db.lock(ctx); err != nil {
			yield("", err)
			return
		}
		all := maps.Clone(s.all)
		maps.DeleteFunc(all, func(_ string, s *space) bool { return !s.created })
		s.db.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Create implements sync.Remotes.
func (s *remotes) Create(ctx context.Context, name string) error {
	if err := cloudsync.CheckRemoteName(name); err != nil {
		return err
	}
	if err := s.db.lock(ctx); err != nil {
		return err
	}
	defer s.db.mu.Unlock()
	folded := cloudsync.FoldRemoteName(name)
	for other, found := range s.all {
		if found.created && cloudsync.FoldRemoteName(other) == folded {
			return fmt.Errorf("%w: remote %q", cloudsync.ErrExists, other)
		}
	}
	s.make(name).created = true
	return nil
}

// make returns the space of a name. The mutex is held.
func (s *remotes) make(name string) *space {
	if s.all[name] == nil {
		s.all[name] = &space{objects: make(map[string]object)}
	}
	return s.all[name]
}

// Remove implements sync.Remotes.
func (s *remotes) Remove(ctx context.Context, name string) error {
	if err := s.db.lock(ctx); err != nil {
		return err
	}
	defer s.db.mu.Unlock()
	if found := s.all[name]; found != nil && found.created {
		found.objects, found.removed = nil, true
		delete(s.all, name)
	}
	return nil
}

// forget implements store.
func (s *remotes) forget() { s.all = nil }

// remote is one handle of a sync.Remote.
type remote struct {
	on     *remotes
	name   string
	opened *space // by Open of Remotes; else nil
	closed bool   // under the engine's mutex
}

// lock takes the mutex for a call, unless it must not begin, and returns what the
// remote has. A space that is nil has nothing.
func (r *remote) lock(ctx context.Context) (*space, error) {
	if err := r.on.db.lock(ctx); err != nil {
		return nil, err
	}
	var err error
	found := r.opened
	switch {
	case r.closed:
		err = cloudsync.ErrClosed
	case found == nil:
		if err = cloudsync.CheckRemoteName(r.name); err == nil {
			found = r.on.all[r.name]
		}
	case found.removed:
		err = fmt.Errorf("%w: remote %q", cloudsync.ErrNotFound, r.name)
	}
	if err != nil {
		r.on.db.mu.Unlock()
	}
	return found, err
}

// at takes the mutex for a call on an object, and returns it.
func (r *remote) at(ctx context.Context, name string) (o object, there bool, err error) {
	found, err := r.lock(ctx)
	if err != nil {
		return object{}, false, err
	}
	if err := cloudsync.CheckName(name); err != nil {
		r.on.db.mu.Unlock()
		return object{}, false, err
	}
	if found != nil {
		o, there = found.objects[name]
	}
	return o, there, nil
}

// PutIfAbsent implements sync.Remote.
func (r *remote) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	_, there, err := r.at(ctx, name)
	if err != nil {
		return err
	}
	r.on.db.mu.Unlock()
	var content []byte
	if !there {
		if content, err = readBody(ctx, body); err != nil {
			return fmt.Errorf("reading what is put as %q: %w", name, err)
		}
		if _, there, err = r.at(ctx, name); err != nil {
			return err
		}
		defer r.on.db.mu.Unlock()
	}
	if there {
		return fmt.Errorf("%w: %q", cloudsync.ErrExists, name)
	}
	to := r.opened
	if to == nil {
		to = r.on.make(r.name)
	}
	to.objects[name] = object{content, stamp(time.Now())}
	return nil
}

// readBody reads all of a body, as long as its context lasts.
func readBody(ctx context.Context, body cloudsync.Body) ([]byte, error) {
	const part = 1 << 20
	var content bytes.Buffer
	for size := body.Size(); int64(content.Len()) < size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := int64(content.Len())
		want := min(part, size-at)
		n, err := io.Copy(&content, io.NewSectionReader(body, at, want))
		if err == nil && n < want {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return content.Bytes(), nil
}

// Get implements sync.Remote.
func (r *remote) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	o, there, err := r.at(ctx, name)
	if err != nil {
		return nil, err
	}
	r.on.db.mu.Unlock()
	switch {
	case off < 0:
		return nil, fmt.Errorf("%w: offset %d", cloudsync.ErrInvalid, off)
	case !there:
		return nil, fmt.Errorf("%w: %q", cloudsync.ErrNotFound, name)
	}
	content := o.content[min(off, int64(len(o.content))):]
	if n >= 0 {
		content = content[:min(n, int64(len(content)))]
	}
	return &reader{ctx, bytes.NewReader(content)}, nil
}

// reader reads as long as its context lasts.
type reader struct {
	ctx  context.Context // of one reading
	rest io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.rest.Read(p)
}

func (*reader) Close() error { return nil }

// List implements sync.Remote.
func (r *remote) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		found, err := r.lock(ctx)
		if err != nil {
			yield(cloudsync.Object{}, err)
			return
		}
		all := map[string]object{}
		if found != nil {
			all = maps.Clone(found.objects)
		}
		r.on.db.mu.Unlock()
		maps.DeleteFunc(all, func(name string, _ object) bool { return !strings.HasPrefix(name, prefix) || name <= after })
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(cloudsync.Object{Name: name, Size: int64(len(all[name].content)), Time: all[name].at}, nil) {
				return
			}
		}
	}
}

// Delete implements sync.Remote.
func (r *remote) Delete(ctx context.Context, name string) error {
	_, there, err := r.at(ctx, name)
	if err != nil {
		return err
	}
	defer r.on.db.mu.Unlock()
	if there {
		found := r.opened
		if found == nil {
			found = r.on.all[r.name]
		}
		delete(found.objects, name)
	}
	return nil
}

// Close implements sync.Remote.
func (r *remote) Close() error {
	r.on.db.mu.Lock()
	defer r.on.db.mu.Unlock()
	r.closed = true
	return nil
}
