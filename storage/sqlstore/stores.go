package sqlstore

import (
	"context"
	"io/fs"
	"sync"

	"github.com/upkeep-go/upkeep/storage"
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
	*Accessors
	db DB
}

// Accessors return the stores of every domain on a database, at every call the
// same ones: they are the methods of storage.Backend but for Close, and stand in
// the files of their domains. An engine embeds them.
type Accessors struct {
	on   tabled
	keep storage.Retention
	base *Accessors // not nil: on is a transaction of a caller's on the database of these

	mu     sync.Mutex
	stores map[any]any // by a named
}

// store is one of a domain.
type store[S any] interface {
	// On returns the same store in a transaction of the caller's, which db
	// stands for.
	On(db DB) S
}

// named is the key of a store: its type, and the name of what it is for where a
// domain has a store for each of several things.
type named[S any] struct{ name string }

// storeOf returns the store of a type and a name, which the first call makes.
func storeOf[S store[S]](a *Accessors, domain, name string, open func(DB, storage.Retention) S) S {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := named[S]{name}
	if s, ok := a.stores[key]; ok {
		return s.(S)
	}
	var s S
	if db := a.on.of(domain); a.base == nil {
		s = open(db, a.keep)
	} else {
		s = storeOf(a.base, domain, name, open).On(db)
	}
	a.stores[key] = s
	return s
}

// New makes the table that says what has been done to the others. It returns
// storage.ErrForeign if there are tables that other migrations have made.
func New(ctx context.Context, c Config) (*Stores, error) {
	if c.Migrations == nil {
		c.Migrations = Migrations()
	}
	d := c.DB.Dialect()
	schema, err := newSchema(c.Migrations, d)
	if err == nil {
		err = schema.open(ctx, c.DB)
	}
	if err != nil {
		return nil, err
	}
	on := tabled{DB: c.DB, schema: schema, feeds: newFeeds(d)}
	return &Stores{&Accessors{on: on, keep: c.Retention, stores: make(map[any]any)}, c.DB}, nil
}

// Check returns the first error that a store would return because of its
// tables, those that nobody uses included. It changes nothing.
func (s *Stores) Check(ctx context.Context) error { return s.on.schema.check(ctx, s.db) }

// Within returns the same stores in a transaction of the caller's, which db
// stands for. Tables that are missing are made outside of it where writers run
// side by side and a connection is free, else in it, and are gone again if it is
// rolled back. Watch is errors.ErrUnsupported, since it would wait for what
// happens after the transaction; Close does nothing.
func (s *Stores) Within(db DB) storage.Backend {
	on := s.on
	on.DB, on.outside = db, s.db
	return within{&Accessors{on: on, base: s.Accessors, stores: make(map[any]any)}}
}

type within struct{ *Accessors }

func (within) Close() error { return nil }
