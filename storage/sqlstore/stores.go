package sqlstore

import (
	"context"
	"io/fs"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// Config configures Stores. A zero field means its documented default.
type Config struct {
	DB        DB // required
	Retention storage.Retention
	// Migrations is for tests that stand for a newer library. Default:
	// Migrations().
	Migrations fs.FS
}

// Stores are the stores of every domain over one DB. The first call of a store
// makes or brings up to date the tables of its domain. If that fails it returns
// why, and the next call tries again: storage.ErrNewer for tables of a newer
// library that this one must not write to, which leaves the other stores alone.
// Several processes may do so at once.
type Stores struct {
	db     DB
	schema schema

	locker   *Locker
	journal  *Journal
	versions *Versions
}

// New makes the table that says what has been done to the others. It returns
// storage.ErrForeign if there are tables that other migrations have made.
func New(ctx context.Context, c Config) (*Stores, error) {
	if c.Migrations == nil {
		c.Migrations = Migrations()
	}
	schema, err := newSchema(c.Migrations, c.DB.Dialect())
	if err == nil {
		err = schema.open(ctx, c.DB)
	}
	if err != nil {
		return nil, err
	}
	s := &Stores{db: c.DB, schema: schema}
	s.locker = NewLocker(s.on(domainLease, c.DB, nil))
	s.journal = NewJournal(s.on(domainUpdate, c.DB, nil), c.Retention)
	s.journal.leases = s.on(domainLease, c.DB, nil)
	s.versions = NewVersions(s.on(domainLV, c.DB, nil), c.Retention)
	s.versions.events.feeds = s.journal.events.feeds // the connections are shared too
	return s, nil
}

func (s *Stores) on(domain string, db, outside DB) *tabled {
	return &tabled{DB: db, tables: s.schema[domain], outside: outside}
}

// Check returns the first error that a store would return because of its
// tables, those that nobody uses included. It changes nothing.
func (s *Stores) Check(ctx context.Context) error { return s.schema.check(ctx, s.db) }

// Locker returns the leases.
func (s *Stores) Locker() *Locker { return s.locker }

// Journal returns the runs of package update.
func (s *Stores) Journal() *Journal { return s.journal }

// Versions returns the rows of package lv.
func (s *Stores) Versions() *Versions { return s.versions }

// Within returns the same stores in a transaction of the caller's, which db
// stands for. Tables that are missing are made outside of it where writers run
// side by side and a connection is free, else in it, and are gone again if it is
// rolled back. Watch is errors.ErrUnsupported, since it would wait for what
// happens after the transaction; Close does nothing.
func (s *Stores) Within(db DB) storage.Backend {
	journal := s.journal.On(s.on(domainUpdate, db, s.db))
	journal.leases = s.on(domainLease, db, s.db)
	return &within{
		locker:   NewLocker(s.on(domainLease, db, s.db)),
		journal:  journal,
		versions: s.versions.On(s.on(domainLV, db, s.db)),
	}
}

type within struct {
	locker   *Locker
	journal  *Journal
	versions *Versions
}

func (w *within) Locker() lease.Locker      { return w.locker }
func (w *within) Journal() update.Journal   { return w.journal }
func (w *within) Versions() lv.VersionStore { return w.versions }
func (w *within) Close() error              { return nil }
