// Package sqlite is the default engine: one file, any number of processes of
// one machine.
//
// Writes of many callers share a transaction, and with it the sync of the
// disk, so that keeping everything that was acknowledged costs little.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	driver "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// Config configures a DB. A zero field means its documented default.
type Config struct {
	Path string // required; made, readable by its owner only, if it is not there
	// BusyTimeout is how long to wait for other processes. Default 5 seconds.
	BusyTimeout time.Duration
	// Relaxed survives the death of the process but may lose the last
	// writes with the power (synchronous=NORMAL). Default: nothing is lost.
	Relaxed bool
	// Retention says which events are kept.
	Retention storage.Retention
}

const defaultBusyTimeout = 5 * time.Second

// DB is an open database. It is safe for concurrent use.
type DB struct {
	engine   *engine
	keep     storage.Retention
	locker   *sqlstore.Locker
	journal  *sqlstore.Journal
	versions *sqlstore.Versions
}

var _ storage.Backend = (*DB)(nil)

//go:embed migrations
var embedded embed.FS

func migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// Open opens or makes the database and brings its schema up to date. Its
// errors name the path: storage.ErrForeign for what is not a database of
// Upkeep, storage.ErrNewer for a newer schema, storage.ErrReadOnly for a place
// that cannot be written, storage.ErrFull, storage.ErrBusy, storage.ErrCorrupt,
// and fs.ErrNotExist if the folder is missing.
//
// While a database is open it is a file and a log beside it. If one of them is
// moved, removed or replaced, every call returns storage.ErrMoved: nothing is
// acknowledged into a file that nobody finds. Once everybody has closed it the
// file alone is everything. A log beside the path whose database is missing,
// empty or another one is storage.ErrCorrupt, and is left alone.
//
// The DB owns a goroutine that writes, and one that looks for the commits of
// other processes while somebody watches. Both end with Close.
func Open(c Config) (*DB, error) {
	e, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("opening a database: %w", err)
	}
	return newDB(e, c.Retention), nil
}

// Use works inside the application's own database, whose driver must be
// modernc.org/sqlite, with the application's own settings for it. Every table
// is prefixed upkeep_. Close leaves db open.
//
// No connection of db is kept: each call borrows one. Whoever calls while it
// holds the last connection of db, in a transaction of its own, should call
// the stores of Within.
func Use(ctx context.Context, db *sql.DB) (*DB, error) {
	e, err := use(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("using a database: %w", err)
	}
	return newDB(e, storage.Retention{}), nil
}

func use(ctx context.Context, db *sql.DB) (*engine, error) {
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
	lender := &borrowed{db: db, path: path, place: place, timeout: defaultBusyTimeout}
	e := startEngine(path, lender, defaultBusyTimeout, blind{})
	if err := sqlstore.Migrate(ctx, e.Write, migrations()); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func newDB(e *engine, keep storage.Retention) *DB {
	return &DB{
		engine: e, keep: keep, locker: sqlstore.NewLocker(e), journal: sqlstore.NewJournal(e, keep),
		versions: sqlstore.NewVersions(e, keep),
	}
}

// Locker returns the locks of the database.
func (d *DB) Locker() update.Locker { return d.locker }

// Journal returns the journal of the database.
func (d *DB) Journal() update.Journal { return d.journal }

// Versions returns the rows of the database.
func (d *DB) Versions() lv.VersionStore { return d.versions }

// Close finishes writes under way. Later calls of the stores return
// storage.ErrClosed. It may be called twice.
func (d *DB) Close() error { return d.engine.close() }
