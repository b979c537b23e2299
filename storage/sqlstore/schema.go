package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/storage"
)

// domains are those that have tables, each with a folder of migrations, in the
// order of their names. Nothing depends on the order: the tables of no domain
// refer to those of another.
func domains() (names []string) {
	folders, err := embedded.ReadDir("migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	for _, folder := range folders {
		names = append(names, folder.Name())
	}
	return names
}

// schema is the tables of every domain. They are made when its store is first
// used, so that a database has the tables of what is used.
type schema map[string]*tables

// tables are those of one domain, and whether this process knows that they are
// up to date.
type tables struct {
	domain     string
	lock       string // Dialect.SchemaLock
	migrations []migration

	there atomic.Bool   // committed, and so for good
	turn  chan struct{} // full while a call brings them up to date
}

func newSchema(files fs.FS, d Dialect) (schema, error) {
	s := schema{}
	for _, domain := range domains() {
		migrations, err := readMigrations(files, domain, d)
		if err == nil {
			_, err = beginningOf(domain)
		}
		if err != nil {
			return nil, err
		}
		s[domain] = &tables{domain: domain, lock: d.SchemaLock, migrations: migrations, turn: make(chan struct{}, 1)}
	}
	return s, nil
}

// open makes the table that says what has been done, and returns
// storage.ErrForeign if that cannot be by this library or a newer one.
func (s schema) open(ctx context.Context, db DB) error {
	d := db.Dialect()
	err := db.Write(ctx, func(tx Tx) error {
		if err := execLock(tx, d.SchemaLock, ""); err != nil {
			return err
		}
		if err := tx.Exec(d.typed(schemaTable)); err != nil {
			return err
		}
		return tx.Exec(d.typed(historyTable))
	})
	if err != nil {
		return fmt.Errorf("making the table of migrations: %w", err)
	}
	if err := s.check(ctx, db); err != nil && !errors.Is(err, storage.ErrNewer) {
		return err
	}
	return nil
}

// check returns the first error that a store would return for its tables. It
// changes nothing.
func (s schema) check(ctx context.Context, db DB) error {
	var newer error
	for _, domain := range domains() {
		_, err := s[domain].missing(ctx, db)
		if errors.Is(err, storage.ErrNewer) {
			newer = err
		} else if err != nil {
			return err
		}
	}
	return newer
}

// missing reports whether migrations are to be done.
func (t *tables) missing(ctx context.Context, db DB) (missing bool, err error) {
	err = db.Read(ctx, func(tx Tx) error {
		applied, err := verify(tx, t.domain, t.migrations)
		missing = applied < len(t.migrations)
		return err
	})
	return missing, err
}

// ready returns once the tables are up to date, which it remembers.
func (t *tables) ready(ctx context.Context, db DB) error {
	if t.there.Load() {
		return nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if t.there.Load() {
		return nil
	}
	missing, err := t.missing(ctx, db)
	for err == nil && missing {
		missing, err = t.next(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	t.there.Store(true)
	return nil
}

// madeWithin is set before a transaction of a caller makes tables, on whatever
// DB: from then on, what such a transaction sees may be its own and be taken
// back.
var madeWithin atomic.Bool

// readyWithin is ready for a transaction of the caller's. It waits for no other
// call, which might wait for the transaction to end.
func (t *tables) readyWithin(ctx context.Context, tx, outside DB) error {
	if t.there.Load() {
		return nil
	}
	missing, err := t.missing(ctx, tx)
	if err == nil && missing && t.lock != "" && t.readyOutside(ctx, outside) == nil {
		return nil
	}
	for err == nil && missing {
		madeWithin.Store(true)
		missing, err = t.next(ctx, tx)
	}
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if !madeWithin.Load() {
		t.there.Store(true)
	}
	return nil
}

// readyOutside is ready on another connection than the caller's, where writers
// run side by side: what it makes keeps nobody waiting until the caller commits.
// It gives up early, as all connections may be callers'.
func (t *tables) readyOutside(ctx context.Context, db DB) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return t.ready(ctx, db)
}

// next does the next migration, and reports whether another is to be done.
func (t *tables) next(ctx context.Context, db DB) (missing bool, err error) {
	err = db.Write(ctx, func(tx Tx) error {
		if err := execLock(tx, t.lock, t.domain); err != nil {
			return err
		}
		applied, err := verify(tx, t.domain, t.migrations) // another process may have been faster
		if err != nil {
			return err
		}
		missing = applied+1 < len(t.migrations)
		if applied == len(t.migrations) {
			return nil
		}
		if err := apply(tx, t.domain, applied+1, t.migrations[applied]); err != nil || applied > 0 {
			return err
		}
		return joinHistory(tx, db.Dialect(), t.domain)
	})
	return missing, err
}

// tabled is a DB that has the tables of a domain at the first call that needs
// them.
type tabled struct {
	DB
	tables  *tables
	outside DB     // not nil: DB is a transaction of a caller's on it
	schema  schema // of all domains
	feeds   feeds  // that the stores of all domains share
}

// of returns the same DB for the tables of another domain.
func (t *tabled) of(domain string) *tabled {
	other := *t
	other.tables = t.schema[domain]
	return &other
}

func (t *tabled) ready(ctx context.Context) error {
	if t.outside != nil {
		return t.tables.readyWithin(ctx, t.DB, t.outside)
	}
	return t.tables.ready(ctx, t.DB)
}

func (t *tabled) Write(ctx context.Context, f func(Tx) error) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	return t.DB.Write(ctx, f)
}

func (t *tabled) Read(ctx context.Context, f func(Tx) error) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	return t.DB.Read(ctx, f)
}

func (t *tabled) Row(ctx context.Context, query string, args []any, dest ...any) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	return t.DB.Row(ctx, query, args, dest...)
}
