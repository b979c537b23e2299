package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// Within returns the same stores inside the caller's transaction on this
// database: what they write happens when it commits, or not at all. They are
// used while the transaction lasts. Tables that are missing are made in it:
// until it ends even who reads elsewhere waits for them. Watch is
// errors.ErrUnsupported; Close does nothing. Once the DB is closed they return
// storage.ErrClosed.
func (d *DB) Within(tx *sql.Tx) storage.Backend {
	return d.stores.Within(&inside{engine: d.engine, tx: tx})
}

// inside is the sqlstore.DB of a transaction.
type inside struct {
	engine *engine

	mu sync.Mutex
	tx *sql.Tx // of the caller; one statement at a time
}

func (i *inside) Write(ctx context.Context, f func(sqlstore.Tx) error) (err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.ready(ctx); err != nil {
		return err
	}
	tx := statements{i.engine.path, i.tx}
	if err := tx.Exec("SAVEPOINT upkeep"); err != nil {
		return err
	}
	if err := call(f, tx); err != nil {
		return errors.Join(err, tx.Exec("ROLLBACK TO upkeep; RELEASE upkeep"))
	}
	return tx.Exec("RELEASE upkeep")
}

func (i *inside) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.ready(ctx); err != nil {
		return err
	}
	return f(statements{i.engine.path, i.tx})
}

func (i *inside) ready(ctx context.Context) error {
	if i.engine.closed.Load() {
		return storage.ErrClosed
	}
	return ctx.Err()
}

func (i *inside) Row(ctx context.Context, query string, args []any, dest ...any) error {
	return i.Read(ctx, func(tx sqlstore.Tx) error { return tx.Row(query, args, dest...) })
}

// Changed is not called: Watch is replaced.
func (i *inside) Changed(context.Context) <-chan struct{} { return nil }

func (i *inside) Dialect() sqlstore.Dialect { return i.engine.Dialect() }

// statements are the statements of a transaction of database/sql. They have no
// context: one that ended in the middle of a statement would end the caller's
// transaction.
type statements struct {
	path string // for errors
	tx   *sql.Tx
}

var _ sqlstore.Tx = statements{}

func (s statements) Exec(query string, args ...any) error {
	_, err := s.tx.Exec(query, args...)
	return translate(s.path, err)
}

func (s statements) Row(query string, args []any, dest ...any) error {
	return translate(s.path, s.tx.QueryRow(query, args...).Scan(dest...))
}

func (s statements) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	rows, err := s.tx.Query(query, args...)
	if err != nil {
		return translate(s.path, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return translate(s.path, rows.Err())
}
