package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// Within returns the same stores inside the caller's transaction on this
// database: what they write happens when it commits, or not at all. They are
// used while the transaction lasts. Watch is errors.ErrUnsupported; Close does
// nothing.
func (d *DB) Within(tx *sql.Tx) storage.Backend {
	db := &inside{engine: d.engine, tx: tx}
	w := &within{locker: sqlstore.NewLocker(db)}
	w.journal.Journal = sqlstore.NewJournal(db, d.keep)
	w.versions.versionStore = d.versions.On(db)
	return w
}

type within struct {
	locker   *sqlstore.Locker
	journal  journalWithin
	versions versionsWithin
}

func (w *within) Locker() update.Locker     { return w.locker }
func (w *within) Journal() update.Journal   { return &w.journal }
func (w *within) Versions() lv.VersionStore { return &w.versions }
func (w *within) Close() error              { return nil }

type journalWithin struct{ *sqlstore.Journal }

// Watch cannot wait for what happens after the caller's transaction.
func (journalWithin) Watch(context.Context, int64) iter.Seq2[update.Event, error] {
	return unwatched[update.Event]
}

type versionStore = sqlstore.Versions // embedded as Versions it would hide its method

type versionsWithin struct{ *versionStore }

// Watch cannot wait for what happens after the caller's transaction.
func (versionsWithin) Watch(context.Context, int64) iter.Seq2[lv.Event, error] {
	return unwatched[lv.Event]
}

func unwatched[T any](yield func(T, error) bool) {
	var nothing T
	yield(nothing, fmt.Errorf("sqlite: watching within a transaction: %w", errors.ErrUnsupported))
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
	if err := ctx.Err(); err != nil {
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
	if err := ctx.Err(); err != nil {
		return err
	}
	return f(statements{i.engine.path, i.tx})
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
