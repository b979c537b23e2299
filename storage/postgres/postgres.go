package postgres

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// Config configures a DB. A zero field means its documented default.
type Config struct {
	// URL names the server and the database, as in
	// "postgres://user@host/app?search_path=upkeep". Required unless there is
	// a Pool. What it leaves out comes from the PG… environment variables.
	URL string
	// Pool is used instead of URL. It must come from pgxpool.ParseConfig.
	Pool *pgxpool.Config
	// MaxConns is how many connections to open at most, besides one that
	// listens while somebody waits. Default: what URL or Pool say, which is 4
	// or the number of CPUs if they say nothing.
	MaxConns int32
	// Timeout is how long a call tries to reach the server, and how long a
	// transaction may take. Default 10 seconds.
	Timeout time.Duration
	// Retention says which events are kept.
	Retention storage.Retention
}

const defaultTimeout = 10 * time.Second

// DB is the engine on one database. It is safe for concurrent use.
type DB struct {
	server   *server
	owned    bool // the pool is ours to close
	keep     storage.Retention
	locker   *sqlstore.Locker
	journal  *sqlstore.Journal
	versions *sqlstore.Versions
}

var _ storage.Backend = (*DB)(nil)

// Open connects to the database and brings its schema up to date. Errors name
// the host, the database and the user, never the password.
func Open(ctx context.Context, c Config) (*DB, error) {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	pc, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, translate(err)
	}
	d, err := open(ctx, pool, c)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	d.owned = true
	return d, nil
}

func (c Config) pool() (*pgxpool.Config, error) {
	var pc *pgxpool.Config
	var err error
	switch {
	case c.Pool != nil:
		pc = c.Pool.Copy()
	case c.URL == "":
		return nil, errors.New("postgres: Config.URL is required")
	default:
		if pc, err = pgxpool.ParseConfig(c.URL); err != nil {
			// The driver's own words may quote part of a password.
			return nil, errors.New("postgres: Config.URL is not a PostgreSQL URL")
		}
	}
	if c.MaxConns > 0 {
		pc.MaxConns = c.MaxConns
	}
	// An attempt to connect keeps a place in the pool until it ends.
	pc.ConnConfig.ConnectTimeout = cmp.Or(pc.ConnConfig.ConnectTimeout, c.Timeout/2)
	if pc.ShouldPing == nil {
		// A dead connection shows by itself, and then another is tried.
		pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	}
	return pc, nil
}

// Use works inside the application's own database. Close leaves the pool open,
// and the pool must stay open until then. While somebody waits for news one
// connection more is open, taken out of the pool.
func Use(ctx context.Context, pool *pgxpool.Pool) (*DB, error) {
	d, err := open(ctx, pool, Config{Timeout: defaultTimeout})
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return d, nil
}

func open(ctx context.Context, pool *pgxpool.Pool, c Config) (*DB, error) {
	// Without this a server that cannot be reached would be tried until the
	// timeout.
	if err := pool.Ping(ctx); err != nil {
		return nil, translate(err)
	}
	how := protocolOf(pool.Config().ConnConfig)
	// Who does without prepared statements has a pooler in between.
	listen := how.mode == pgx.QueryExecModeCacheStatement
	s := &server{pool: pool, how: how, timeout: c.Timeout, hints: newHints(pool, listen)}
	if err := migrate(ctx, s); err != nil {
		return nil, err
	}
	return newDB(s, s, c.Retention), nil
}

func newDB(s *server, db sqlstore.DB, keep storage.Retention) *DB {
	return &DB{
		server: s, keep: keep, locker: sqlstore.NewLocker(db), journal: sqlstore.NewJournal(db, keep),
		versions: sqlstore.NewVersions(db, keep),
	}
}

// Within returns the same stores inside the caller's transaction: each call is
// a savepoint, and what it wrote happens when the transaction commits, or not
// at all. Leases, and writes of the journal and of rows, keep others waiting
// until then, so it should be soon. The transaction must be READ COMMITTED,
// which is the default, and have the search_path of the DB; after a deadlock it
// is the caller's to repeat. Closing the result does nothing.
func (d *DB) Within(tx pgx.Tx) storage.Backend {
	db := newSavepoints(d.server, tx)
	w := newDB(d.server, db, d.keep)
	w.versions = d.versions.On(db)
	return within{w}
}

type within struct{ *DB }

// Close leaves the transaction and the DB alone.
func (within) Close() error { return nil }

// Locker returns the leases of this database.
func (d *DB) Locker() update.Locker { return d.locker }

// Journal returns the runs of this database.
func (d *DB) Journal() update.Journal { return d.journal }

// Versions returns the rows of this database.
func (d *DB) Versions() lv.VersionStore { return d.versions }

// Close ends every Watch, waits for calls under way and closes the
// connections that Open made. It may be called twice.
func (d *DB) Close() error {
	d.server.calls.shut()
	d.server.hints.close()
	if d.owned {
		d.server.pool.Close()
	}
	return nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, one process at a time.
func migrate(ctx context.Context, s *server) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return sqlstore.Migrate(ctx, func(ctx context.Context, f func(sqlstore.Tx) error) error {
		return s.Write(ctx, func(tx sqlstore.Tx) error {
			if err := tx.Exec(migrationLock); err != nil {
				return err
			}
			return f(tx)
		})
	}, files)
}

// Advisory locks have two numbers: the first is "upke" in ASCII.
const (
	migrationLock = "SELECT pg_advisory_xact_lock(1970301797, hashtext(current_schema()))"
	// The notification goes out with the commit.
	journalLock = "SELECT pg_advisory_xact_lock(1970301797, 'upkeep_update_event'::regclass::oid::integer)," +
		" pg_notify('" + channel + "', '')"
	versionLock = "SELECT pg_advisory_xact_lock(1970301797, 'upkeep_lv_event'::regclass::oid::integer)," +
		" pg_notify('" + channel + "', '')"
)

// dialect says that time is the server's and that writers wait for each
// other, so that events are numbered in the order of their commits. Now is the
// same wherever it stands in a statement; Tick goes on while the statement
// waits for a lease's row.
var dialect = sqlstore.Dialect{
	Now:         "(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
	Tick:        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
	JournalLock: journalLock,
	VersionLock: versionLock,
}
