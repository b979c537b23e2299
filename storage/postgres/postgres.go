package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
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

// DB is the engine on one database. It is safe for concurrent use. Its stores are
// those of [storage.Backend], which has a method for each: Locker, and those of
// every domain.
type DB struct {
	accessors
	server *server
	owned  bool // the pool is ours to close
	stores *sqlstore.Stores
}

// accessors is an alias so that DB exports no field.
type accessors = *sqlstore.Accessors

var _ storage.Backend = (*DB)(nil)

// Open connects to the database. Errors name the host, the database and the
// user, never the password; storage.ErrForeign is for tables named as ours that
// other migrations made, storage.ErrReadOnly for a database where no table can
// be made.
//
// The tables of a store are made or brought up to date by its first call, which
// returns storage.ErrNewer if they are of a newer library that allows this one
// no more to write to them. The other stores go on working then.
//
// A database that was restored begins a new history, as soon as somebody has a
// new session with it: its events, versions, releases, strategies and leases go
// on with numbers that were never given, and every Watch that stood at an
// earlier event is told ErrCompacted. It is known by the cluster and its
// timeline, if the role may ask for them (pg_control_system), and by what
// pg_restore makes anew. A recovery to a point in time, the promotion of a
// standby, pg_restore and pg_upgrade are noticed; not a data directory that was
// copied back as a whole, nor, through a pooler, what happens while it runs.
func Open(ctx context.Context, c Config) (*DB, error) { return openWith(ctx, c, nil) }

// openWith opens a database with the migrations of another library.
func openWith(ctx context.Context, c Config, migrations fs.FS) (*DB, error) {
	c = c.complete()
	pc, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, translate(err)
	}
	d, err := open(ctx, pool, c, migrations)
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

// Use works inside the application's own database, with what c says of Timeout
// and Retention; it refuses the other fields, which are the pool's. Close leaves
// the pool open, and the pool must stay open until then. While somebody waits
// for news one connection more is open, taken out of the pool.
func Use(ctx context.Context, pool *pgxpool.Pool, c Config) (*DB, error) {
	if c.URL != "" || c.Pool != nil || c.MaxConns != 0 {
		return nil, errors.New("postgres: Config.URL, Config.Pool and Config.MaxConns are for Open: Use has the application's pool")
	}
	d, err := open(ctx, pool, c, nil)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return d, nil
}

// open uses a pool, with the migrations of another library if there are such.
func open(ctx context.Context, pool *pgxpool.Pool, c Config, migrations fs.FS) (*DB, error) {
	// Without this a server that cannot be reached would be tried until the
	// timeout.
	if err := pool.Ping(ctx); err != nil {
		return nil, translate(err)
	}
	c = c.complete()
	how := protocolOf(pool.Config().ConnConfig)
	// Who does without prepared statements has a pooler in between.
	listen := how.mode == pgx.QueryExecModeCacheStatement
	s := &server{pool: pool, how: how, timeout: c.Timeout, hints: newHints(pool, listen)}
	stores, err := sqlstore.New(ctx, sqlstore.Config{DB: s, Retention: c.Retention, Migrations: migrations})
	if err != nil {
		return nil, err
	}
	s.settles.Store(true)
	session, err := s.acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	release(session)
	return &DB{accessors: stores.Accessors, server: s, stores: stores}, nil
}

func (c Config) complete() Config {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// Within returns the same stores inside the caller's transaction: each call is
// a savepoint, and what it wrote happens when the transaction commits, or not
// at all. Leases, and writes of the journal and of rows, keep others waiting
// until then, so it should be soon. Tables that are missing are made at once, on
// a connection of the DB, or in the transaction if none is free for a second.
// The transaction must be READ COMMITTED, which is the default, and have the
// search_path of the DB; after a deadlock it is the caller's to repeat. Watch is
// errors.ErrUnsupported; Close does nothing. Once the DB is closed they return
// storage.ErrClosed.
func (d *DB) Within(tx pgx.Tx) storage.Backend { return d.stores.Within(newSavepoints(d.server, tx)) }

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

// Advisory locks have two numbers: the first is "upke" in ASCII.
const (
	schemaLock = "SELECT pg_advisory_xact_lock(1970301797, hashtext(current_schema() || ' ' || ?1))"
	// The notification goes out with the commit.
	eventLock = "SELECT pg_advisory_xact_lock(1970301797, '{events}'::regclass::oid::integer)," +
		" pg_notify('" + channel + "', '')"
)

// dialect says that time is the server's and that writers wait for each
// other, so that events are numbered in the order of their commits. Now is the
// same wherever it stands in a statement; Tick goes on while the statement
// waits for a lease's row.
var dialect = sqlstore.Dialect{
	Int:        "BIGINT",
	Bytes:      "BYTEA",
	SchemaLock: schemaLock,
	Now:        "(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
	Tick:       "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
	EventLock:  eventLock,
}
