package lv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/internal/feed"
)

// Config configures a Service. A zero field means its documented default.
type Config struct {
	Store Store // required, or VersionStore or Reader: an engine, as it is
	// VersionStore is for who mixes engines. Default: that of Store.
	VersionStore VersionStore
	// Reader takes the place of a store in a process that has none. The Service
	// is then ReadOnly, and what only a store has, such as working rows, past
	// views, versions and releases, is errors.ErrUnsupported.
	Reader Reader
	// ReadOnly makes every call that writes return ErrReadOnly. Run then only
	// follows the writes of others.
	ReadOnly bool
	// Approve decides whether a release may be approved by this actor, usually
	// with ErrForbidden. Default: anybody but its author.
	Approve func(ctx context.Context, r Release, by By) error
	// Retain says which versions Run may forget. Default: none.
	Retain Retention
	// Logger receives a line for each change of a release or strategy, with who
	// and why, and for what fails. Default: slog.Default().
	Logger *slog.Logger
}

// Retention says which versions may be forgotten: those that are not among the
// newest of their row, are older, and are not referred to by a pointer, a
// strategy, a drafted release or one that can still be reverted.
type Retention struct {
	Versions int           // of each row; 0 keeps all
	Age      time.Duration // keep anything younger
}

// Service reads and publishes rows. It is safe for concurrent use. What
// Production and grays show comes from memory, into which a table is read when
// somebody first asks for it. Readers see every write that was made through
// the Service, and those of other processes while Run runs.
type Service struct {
	config   Config
	snapshot func(context.Context, TableID) (Snapshot, error) // of the store, or Config.Reader

	mu     sync.Mutex
	tables map[TableID]*Table
	named  feed.Notice // of a table that is new among them

	door     *closing.Door
	follower *follower
	planned  feed.Notice // of releases that may be due
	stale    staleTables
	noted    sync.Map // CorruptError: those that the log has

	applied, drafted atomic.Int64 // the last that the log has of each, as progress has them
}

// New returns a Service. It starts nothing.
func New(c Config) (*Service, error) {
	if c.VersionStore == nil && c.Store != nil {
		c.VersionStore = c.Store.Versions()
	}
	switch {
	case c.VersionStore == nil && c.Reader == nil:
		return nil, fmt.Errorf("%w: Config.Store or Config.VersionStore is required, or Config.Reader", ErrInvalid)
	case c.VersionStore != nil && c.Reader != nil:
		return nil, fmt.Errorf("%w: Config has a store and a Reader", ErrInvalid)
	}
	if c.Retain.Versions < 0 || c.Retain.Age < 0 {
		return nil, fmt.Errorf("%w: Config.Retain is negative", ErrInvalid)
	}
	if c.Approve == nil {
		c.Approve = anybodyElse
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Service{config: c, tables: map[TableID]*Table{}, door: closing.NewDoor(ErrClosed, ErrClosed)}
	s.snapshot = s.readStore
	if c.Reader != nil {
		s.config.VersionStore, s.config.ReadOnly, s.snapshot = readerStore{c.Reader}, true, c.Reader.Snapshot
	}
	s.follower = newFollower(s)
	return s, nil
}

func anybodyElse(_ context.Context, r Release, by By) error {
	if r.By.Actor == by.Actor {
		return fmt.Errorf("%w: %q wrote release %d and cannot approve it", ErrForbidden, by.Actor, r.ID)
	}
	return nil
}

// Table returns a table. It need not exist: the first write makes it. The
// Service keeps what it returns, so that names should come from somebody
// trusted.
func (s *Service) Table(app, schema string) *Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := TableID{App: app, Schema: schema}
	t := s.tables[id]
	if t == nil {
		t = &Table{ID: id, service: s, loading: make(chan struct{}, 1)}
		s.tables[id] = t
		s.named.Set()
	}
	return t
}

// readNamed reads the tables that somebody has asked for, or waits for one.
func (s *Service) readNamed(ctx context.Context) error {
	news := s.named.Wait()
	s.mu.Lock()
	tables := slices.Collect(maps.Values(s.tables))
	s.mu.Unlock()
	for _, t := range tables {
		if _, err := t.current(ctx); err != nil {
			return err
		}
	}
	if len(tables) > 0 {
		return nil
	}
	select {
	case <-news:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// known returns the table if somebody has asked for it.
func (s *Service) known(id TableID) *Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables[id]
}

// Tables yields what there is of the tables named, or of all that somebody has
// written to, in the order of their names. A list of tables that is empty but
// not nil is none of them.
func (s *Service) Tables(ctx context.Context, ids ...TableID) iter.Seq2[TableInfo, error] {
	return s.config.VersionStore.Tables(ctx, ids...)
}

// Watch yields every event with a Seq greater than after, in order, losing
// none, and waits for more until ctx ends or the caller breaks. A negative after
// starts with the next event. The last pair has an error: ctx's, or ErrCompacted
// when events that follow after are no longer kept, and when no event has that
// Seq yet: it is of another history, such as one from before a restore. A
// damaged content is left out of its event, of which that row is Corrupt.
func (s *Service) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return s.soundEvents(ctx, after)
}

// Shutdown ends Run at its next safe point, which is between two releases that
// are due, and makes later writes return ErrClosed. Writes that are under way
// are waited for. When ctx ends before, the contexts of all of them are ended,
// and Shutdown returns the cause of ctx once they have returned. What was ended
// so has not failed: a release stays scheduled unless it was applied. Shutdown
// and Close may be called more than once, in any order, at the same time.
// Reads are not affected.
func (s *Service) Shutdown(ctx context.Context) error { return s.door.Shutdown(ctx) }

// Close is Shutdown without time for a safe point: it ends the contexts of Run
// and of the writes that are under way, and waits until they have returned.
func (s *Service) Close() error {
	s.door.Close()
	return nil
}

// writes is what every write does before and after it asks the store, with the
// context that put is given: seq is the event that readers must see when it
// returns.
func (t *Table) writes(ctx context.Context, by By, put func(context.Context) (seq int64, err error)) error {
	if err := cmp.Or(checkRequired("app", t.ID.App), checkRequired("schema", t.ID.Schema), by.check()); err != nil {
		return err
	}
	if err := t.service.writable(); err != nil {
		return err
	}
	ctx, done, err := t.service.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	seq, err := put(ctx)
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), ErrClosed) {
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	t.service.note(ctx, err)
	if err != nil || seq == 0 || !t.asked.Load() {
		return err
	}
	return t.service.follower.reach(ctx, seq)
}

func (s *Service) writable() error {
	if s.config.ReadOnly {
		return ErrReadOnly
	}
	return nil
}
