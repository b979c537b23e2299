// Package sqlite is the default engine: one file, any number of processes of
// one machine.
//
// Writes of many callers share a transaction, and with it the sync of the
// disk, so that keeping everything that was acknowledged costs little.
//
// Read sqlite.go, then engine.go: it lends package storage/sqlstore, which has
// the SQL, a writer.go and what lend.go lends to readers; both run statements on
// a session.go. open.go and log.go make sure that a file is ours and whole,
// place.go that it stays where it is, origin.go that a restored one is known.
// host.go is the machine whose clock judges leases (clock_*.go, process.go),
// notice.go the news of commits, within.go the transaction of a caller,
// backup.go the copy.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	driver "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// Config configures a DB. A zero field means its documented default.
type Config struct {
	// Path names the file, which is made, readable by its owner only, if it is
	// not there. Required by Open; Use refuses it.
	Path string
	// BusyTimeout is how long to wait for other processes and, with Use, for
	// a connection. Default 5 seconds.
	BusyTimeout time.Duration
	// Relaxed survives the death of the process but may lose the last
	// writes with the power (synchronous=NORMAL). Default: nothing is lost.
	// Use refuses it: the application's own settings count.
	Relaxed bool
	// Retention says which events are kept.
	Retention storage.Retention
}

const defaultBusyTimeout = 5 * time.Second

// DB is an open database. It is safe for concurrent use. Its stores are those of
// [storage.Backend], which has a method for each: Locker, and those of every
// domain.
type DB struct {
	accessors
	engine *engine
	stores *sqlstore.Stores
}

// accessors is an alias so that DB exports no field.
type accessors = *sqlstore.Accessors

var _ storage.Backend = (*DB)(nil)

// Open opens or makes the database. Its errors name the path:
// storage.ErrForeign for what is not a database of Upkeep, storage.ErrReadOnly
// for a place that cannot be written, storage.ErrFull, storage.ErrBusy,
// storage.ErrCorrupt, and fs.ErrNotExist if the folder is missing.
//
// The tables of a store are made or brought up to date by its first call, which
// returns storage.ErrNewer if they are of a newer library that allows this one
// no more to write to them. The other stores go on working then.
//
// While a database is open it is a file and a log beside it. If one of them is
// moved, removed or replaced, every call returns storage.ErrMoved: nothing is
// acknowledged into a file that nobody finds. Once everybody has closed it the
// file alone is everything. A database that was in use and whose log is missing
// is storage.ErrCorrupt, and so is a log beside the path whose database is
// missing, empty or another one; nothing is changed then.
//
// A database that was restored begins a new history: its events, versions,
// releases, strategies and leases go on with numbers that were never given, and
// every Watch that stood at an earlier event is told ErrCompacted. It is known
// by a small file beside it, whose name ends in -history, and by the time at
// which that was made (on Linux): a copy of Backup, what Restore has put there,
// and a file or folder that was copied back or to another file system. Such as a
// snapshot of the whole disk is not noticed: remove that file then, before the
// start. Without it a new history begins, which costs no more than that readers
// begin anew.
//
// The DB owns a goroutine that writes, and one that looks for the commits of
// other processes while somebody watches. Both end with Close.
func Open(c Config) (*DB, error) { return openWith(c, nil) }

// openWith opens a database with the migrations of another library.
func openWith(c Config, migrations fs.FS) (*DB, error) {
	d, err := open(c, migrations)
	if err != nil {
		return nil, fmt.Errorf("opening a database: %w", err)
	}
	return d, nil
}

// Use works inside the application's own database, whose driver must be
// modernc.org/sqlite, with the application's own settings for it. Every table
// is prefixed upkeep_; upkeep_schema and upkeep_history are made at once, those
// of a store by its first call, as with Open. Close leaves db open. Of a database
// that was restored only a copy of Backup begins a new history.
//
// No connection of db is kept: each call borrows one. Whoever calls while it
// holds the last connection of db, in a transaction of its own, should call
// the stores of Within.
func Use(ctx context.Context, db *sql.DB, c Config) (*DB, error) { return useWith(ctx, db, c, nil) }

func useWith(ctx context.Context, db *sql.DB, c Config, migrations fs.FS) (*DB, error) {
	d, err := use(ctx, db, c, migrations)
	if err != nil {
		return nil, fmt.Errorf("using a database: %w", err)
	}
	return d, nil
}

func use(ctx context.Context, db *sql.DB, c Config, migrations fs.FS) (*DB, error) {
	if c.Path != "" || c.Relaxed {
		return nil, fmt.Errorf("sqlite: Config.Path and Config.Relaxed are for Open: the application opens its database by itself: %w",
			fs.ErrInvalid)
	}
	if _, ok := db.Driver().(*driver.Driver); !ok {
		return nil, fmt.Errorf("sqlite: the driver is %T, not that of modernc.org/sqlite: %w", db.Driver(), errors.ErrUnsupported)
	}
	var path string
	err := db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	if err != nil {
		return nil, translate("the application's database", err)
	}
	if path == "" && db.Stats().MaxOpenConnections != 1 {
		return nil, errors.New("sqlite: each connection to a database in memory has one of its own; " +
			"call SetMaxOpenConns(1), or use storage/memory")
	}
	place, err := settleAt(path)
	if err != nil {
		return nil, unopened(path, err)
	}
	c = c.complete()
	lender := &borrowed{db: db, path: path, place: place, timeout: c.BusyTimeout}
	d, err := newDB(ctx, startEngine(path, lender, c.BusyTimeout, blind{}), c, migrations)
	if err != nil {
		return nil, err
	}
	if err := d.stores.Settle(ctx, judgeApplication); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (c Config) complete() Config {
	if c.BusyTimeout <= 0 {
		c.BusyTimeout = defaultBusyTimeout
	}
	return c
}

// newDB owns the engine, also if it fails.
func newDB(ctx context.Context, e *engine, c Config, migrations fs.FS) (*DB, error) {
	stores, err := sqlstore.New(ctx, sqlstore.Config{DB: e, Retention: c.Retention, Migrations: migrations})
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return &DB{stores.Accessors, e, stores}, nil
}

// Close finishes writes under way. Later calls of the stores return
// storage.ErrClosed. It may be called twice.
func (d *DB) Close() error { return d.engine.close() }
