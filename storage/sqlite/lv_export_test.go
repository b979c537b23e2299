package sqlite

import (
	"context"
	"sync"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// OpenAlone opens a database whose every write is a transaction of its own,
// behind a mutex: the same connection, settings and statements, without a
// writer that shares the sync of the disk.
func OpenAlone(path string) (s *sqlstore.Versions, close func() error, err error) {
	db, err := Open(Config{Path: path}) // for the schema
	if err != nil {
		return nil, nil, err
	}
	if err := db.Close(); err != nil {
		return nil, nil, err
	}
	conn, err := dial(path, defaultBusyTimeout)
	if err != nil {
		return nil, nil, err
	}
	if err := setUp(conn, Config{}); err != nil {
		return nil, nil, err
	}
	return sqlstore.NewVersions(&alone{session: conn}, storage.Retention{}), conn.Close, nil
}

// Engine lets tests put something between the statements and the engine.
func (d *DB) Engine() sqlstore.DB { return d.engine }

type alone struct {
	mu      sync.Mutex
	session *session
}

func (a *alone) Write(_ context.Context, f func(sqlstore.Tx) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.session.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(a.session); err != nil {
		_ = a.session.run("ROLLBACK")
		return err
	}
	return a.session.run("COMMIT")
}

func (a *alone) Read(_ context.Context, f func(sqlstore.Tx) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return f(a.session)
}

func (a *alone) Row(ctx context.Context, query string, args []any, dest ...any) error {
	return a.Read(ctx, func(tx sqlstore.Tx) error { return tx.Row(query, args, dest...) })
}

func (a *alone) Changed(context.Context) <-chan struct{} { return nil }

func (a *alone) Dialect() sqlstore.Dialect { return sqlstore.Dialect{Host: thisHost()} }
