package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	_ "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// engine is the sqlstore.DB of one connection of database/sql: calls take
// turns. It is a database in memory, which ends with its connection.
type engine struct {
	db     *sql.DB
	turn   chan *sql.Conn // has the connection while nobody uses it
	closed chan struct{}
	close  func() error
	host   sqlstore.Host

	mu      sync.Mutex
	changed chan struct{} // closed at the next commit
}

func (e *engine) Write(ctx context.Context, f func(sqlstore.Tx) error) error {
	err := e.transaction(ctx, "COMMIT", f)
	if err == nil {
		e.tell()
	}
	return err
}

func (e *engine) Read(ctx context.Context, f func(sqlstore.Tx) error) error {
	return e.transaction(ctx, "ROLLBACK", f)
}

func (e *engine) Row(ctx context.Context, query string, args []any, dest ...any) error {
	return e.Read(ctx, func(tx sqlstore.Tx) error { return tx.Row(query, args, dest...) })
}

func (e *engine) Changed(context.Context) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// tell wakes who waits for a change.
func (e *engine) tell() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

// Dialect has no clock of a server, so it has a Host. Many processes would need
// one tick for all of them: sqlite takes that of the boot, postgres its server's.
func (e *engine) Dialect() sqlstore.Dialect {
	return sqlstore.Dialect{Int: "INTEGER", Bytes: "BLOB", End: "STRICT", Keyed: "STRICT, WITHOUT ROWID", Host: e.host}
}

// transaction ends by end unless f fails. A context counts until f begins.
func (e *engine) transaction(ctx context.Context, end string, f func(sqlstore.Tx) error) error {
	var conn *sql.Conn
	select {
	case conn = <-e.turn:
		defer func() { e.turn <- conn }()
	case <-e.closed:
		return storage.ErrClosed
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	tx := statements{conn}
	if err := tx.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := protect(tx, f); err != nil {
		return errors.Join(err, tx.Exec("ROLLBACK"))
	}
	return tx.Exec(end)
}

// protect makes a panic an error.
func protect(tx sqlstore.Tx, f func(sqlstore.Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("engine: panic: %v", v)
		}
	}()
	return f(tx)
}

// statements is the sqlstore.Tx. A real engine says here in the errors of
// package storage what its driver's codes mean.
type statements struct{ conn *sql.Conn }

func (s statements) Exec(query string, args ...any) error {
	_, err := s.conn.ExecContext(context.Background(), query, args...)
	return err
}

func (s statements) Row(query string, args []any, dest ...any) error {
	return s.conn.QueryRowContext(context.Background(), query, args...).Scan(dest...)
}

func (s statements) Query(query string, args []any, each func(scan func(dest ...any) error) error) error {
	rows, err := s.conn.QueryContext(context.Background(), query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// backend is what users get.
type backend struct {
	*sqlstore.Accessors
	engine *engine
}

var _ storage.Backend = (*backend)(nil)

func open(ctx context.Context, keep storage.Retention) (*backend, error) {
	db, err := sql.Open("sqlite", ":memory:?_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	started := time.Now()
	e := &engine{db: db, turn: make(chan *sql.Conn, 1), closed: make(chan struct{}), changed: make(chan struct{})}
	e.turn <- conn
	e.host = sqlstore.Host{
		Tick:    func() int64 { return time.Since(started).Microseconds() },
		Process: rand.Text(), Ended: func(string) bool { return false },
	}
	e.close = sync.OnceValue(func() error {
		close(e.closed)
		defer e.tell() // every Watch ends
		return errors.Join((<-e.turn).Close(), e.db.Close())
	})
	stores, err := sqlstore.New(ctx, sqlstore.Config{DB: e, Retention: keep})
	if err == nil { // nobody restores it from a backup
		err = stores.Settle(ctx, func(string, bool) (place string, restored bool, err error) { return })
	}
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return &backend{stores.Accessors, e}, nil
}

func (b *backend) Close() error { return b.engine.close() }

// An engine over database/sql, whole: it lends sqlstore a DB and a Tx, and says
// in a Dialect how its SQL is written. TestTheExampleIsAnEngine lets storagetest
// tell whether it keeps the promises.
func ExampleNew() {
	ctx := context.Background()
	db, err := open(ctx, storage.Retention{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	u, err := update.New(update.Config{Store: db, Packages: []update.Package{{
		Name: "demo/site", Source: source.Static("1.1.0"),
		Steps: []update.Step{{Name: "publish", Do: func(context.Context, *update.Task) error { return nil }}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	run, err := u.Update(ctx, update.Request{Package: "demo/site"})
	fmt.Println(run.Version, run.State, err)
	// Output: 1.1.0 succeeded <nil>
}
