package sync

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// The keys of what a Folder notes of one remote, beside the notes of its engine.
const (
	keyKeys    = "keys"    // of its repository: what opens everything
	keyDrawn   = "drawn"   // keys for a repository that is not made yet
	keyPresent = "present" // what the last sync with it has found
)

// part is a FolderStore of its own within another one.
type part struct {
	FolderStore
	prefix string
}

// Update implements FolderStore.
func (p part) Update(ctx context.Context, token int64, entries []Entry, events ...Event) (int64, error) {
	all := make([]Entry, len(entries))
	for i, e := range entries {
		all[i] = Entry{p.prefix + e.Key, e.Value}
	}
	return p.FolderStore.Update(ctx, token, all, events...)
}

// Get implements FolderStore.
func (p part) Get(ctx context.Context, key string) ([]byte, error) {
	return p.FolderStore.Get(ctx, p.prefix+key)
}

// List implements FolderStore.
func (p part) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range p.FolderStore.List(ctx, p.prefix+prefix) {
			e.Key = strings.TrimPrefix(e.Key, p.prefix)
			if !yield(e, err) {
				return
			}
		}
	}
}

// notesOf is where what concerns a remote is noted.
func (f *Folder) notesOf(remote string) part {
	return part{f.config.FolderStore, keyRemote + hex.EncodeToString([]byte(remote)) + "/"}
}

// remote opens a remote by its name; "" is that of Config.
func (f *Folder) remote(ctx context.Context, name string) (r Remote, done func(), err error) {
	switch {
	case name == "" && f.config.Remote == nil:
		return nil, nil, fmt.Errorf("%w: Settings.Remote is required, since Config.Remote is not set", ErrInvalid)
	case name == "":
		return f.config.Remote, func() {}, nil
	case f.config.Remotes == nil:
		return nil, nil, fmt.Errorf("%w: remote %q: Config.Remotes is not set", ErrNotFound, name)
	}
	r, err = f.config.Remotes.Open(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("remote %q: %w", name, err)
	}
	return r, func() { _ = r.Close() }, nil
}

// named refuses the name of a remote that is not there, and returns that by which
// it is recorded.
func (f *Folder) named(ctx context.Context, name string) (string, error) {
	_, done, err := f.remote(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound) && name == DefaultRemote && f.config.Remote != nil:
		return "", nil
	case err != nil:
		return "", err
	}
	done()
	return name, nil
}

// engineOf returns the engine of the folder and a remote. A run listens to it; who
// only looks has none.
func (f *Folder) engineOf(ctx context.Context, q Request, token int64, r *runner) (e *engine, done func(), err error) {
	remote, done, err := f.remote(ctx, q.Remote)
	if err != nil {
		return nil, nil, err
	}
	c := engineConfig{
		Device: f.config.Device, Files: f.config.Files, Remote: remote, Name: q.Remote, Store: f.notesOf(q.Remote), Token: token,
		MaxDelete: f.config.MaxDelete, Rate: f.config.Rate, Ignore: f.config.Ignore, Merge: f.config.Merge,
	}
	if r != nil {
		c.Tell, c.Run = r.hear, r.run.ID
	}
	if r != nil {
		if c.Machine, err = f.machine(ctx, token, q.Fresh && !r.taken); err != nil {
			done()
			return nil, nil, err
		}
	}
	c.Sealer, err = opening{
		repository: bare(remote), vault: f.config.Vault, device: f.config.Device,
		store: c.Store, token: token, fresh: q.Fresh, dry: r == nil,
	}.unlock(ctx)
	if err != nil {
		done()
		return nil, nil, err
	}
	if c.Store, err = ofRepository(ctx, c.Store, c.Sealer); err != nil {
		done()
		return nil, nil, err
	}
	return newEngine(c), done, nil
}

// ofRepository is a store of notes, unless what it has is of another repository:
// then it is one that has nothing, and keeps nothing.
func ofRepository(ctx context.Context, store FolderStore, keys Sealer) (FolderStore, error) {
	kept, err := records{store}.value(ctx, keyKeys)
	if own, ok := keys.(Keys); err != nil || kept == nil || ok && bytes.Equal(own.Bytes(), kept) {
		return store, err
	}
	return blank{store}, nil
}

// blank is a FolderStore without notes.
type blank struct{ FolderStore }

// Update implements FolderStore.
func (blank) Update(context.Context, int64, []Entry, ...Event) (int64, error) { return 0, nil }

// Get implements FolderStore.
func (blank) Get(context.Context, string) ([]byte, error) { return nil, ErrNotFound }

// List implements FolderStore.
func (blank) List(context.Context, string) iter.Seq2[Entry, error] {
	return func(func(Entry, error) bool) {}
}

// lookAt returns an engine that only looks, at the remote of Settings.
func (f *Folder) lookAt(ctx context.Context) (e *engine, done func(), err error) {
	if f.door.Shut() {
		return nil, nil, ErrClosed
	}
	settings, err := f.settings(ctx)
	if err != nil {
		return nil, nil, err
	}
	return f.engineOf(ctx, Request{Remote: settings.Remote}, 0, nil)
}

// looking calls use with an engine that only looks, at the remote of Settings.
func (f *Folder) looking(ctx context.Context, use func(ctx context.Context, e *engine) error) error {
	ctx, leave, err := f.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	e, done, err := f.lookAt(ctx)
	if err != nil {
		return err
	}
	defer done()
	return use(ctx, e)
}

// acting calls use with an engine that may write, at the remote of Settings, while
// no run is live.
func (f *Folder) acting(ctx context.Context, use func(ctx context.Context, e *engine) error) error {
	return f.holding(ctx, func(ctx context.Context, token int64) error {
		settings, err := f.settings(ctx)
		if err != nil {
			return err
		}
		e, done, err := f.engineOf(ctx, Request{Remote: settings.Remote}, token, nil)
		if err != nil {
			return err
		}
		defer done()
		return use(ctx, e)
	})
}

// present is what the last sync with a remote has found.
type present struct {
	Commit    string
	SyncedAt  time.Time
	Conflicts int
	Problems  []Problem
	Devices   []Device
}

// maxProblems is how many Status tells of.
const maxProblems = 1000

// present notes what a sync has found.
func (f *Folder) present(ctx context.Context, token int64, remote string, result engineResult) error {
	p := present{
		Commit: result.Commit, SyncedAt: time.Now().UTC(), Conflicts: result.Copies,
		Problems: result.Problems[:min(len(result.Problems), maxProblems)], Devices: result.Devices,
	}
	_, err := f.notesOf(remote).Update(ctx, token, []Entry{noted(keyPresent, p)})
	return err
}

// lacks notes what a restore could not do, until the next sync has found what is so
// then.
func (f *Folder) lacks(ctx context.Context, token int64, remote string, problems []Problem) error {
	var p present
	notes := f.notesOf(remote)
	if _, err := f.records.read(ctx, notes.prefix+keyPresent, &p); err != nil {
		return err
	}
	problems = slices.Concat(problems, p.Problems)
	p.Problems = problems[:min(len(problems), maxProblems)]
	_, err := notes.Update(ctx, token, []Entry{noted(keyPresent, p)})
	return err
}

// Plan keeps the promise of Syncer.
func (f *Folder) Plan(ctx context.Context, r Request) (p Plan, err error) {
	if err := r.check(); err != nil {
		return Plan{}, err
	}
	err = f.holding(ctx, func(ctx context.Context, token int64) error {
		settings, err := f.settings(ctx)
		if err != nil {
			return err
		}
		q := r
		if q.Remote, err = f.named(ctx, cmp.Or(r.Remote, settings.Remote)); err != nil {
			return err
		}
		e, done, err := f.engineOf(ctx, q, token, nil)
		if err != nil {
			return err
		}
		defer done()
		p, err = e.Plan(ctx, q)
		return err
	})
	p.Request = r
	return p, err
}
