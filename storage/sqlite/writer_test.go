package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// scratch opens a database with a table of numbers.
func scratch(t *testing.T) *sqlite.DB {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	require.NoError(t, db.Write(t.Context(), func(tx sqlstore.Tx) error {
		return tx.Exec("CREATE TABLE upkeep_number (n INTEGER PRIMARY KEY) STRICT")
	}))
	return db
}

func insert(n int64) func(sqlstore.Tx) error {
	return func(tx sqlstore.Tx) error { return tx.Exec("INSERT INTO upkeep_number (n) VALUES (?1)", n) }
}

func numbers(t *testing.T, db *sqlite.DB) (all []int64) {
	require.NoError(t, db.Read(t.Context(), func(tx sqlstore.Tx) error {
		return tx.Query("SELECT n FROM upkeep_number ORDER BY n", nil, func(scan func(...any) error) error {
			var n int64
			err := scan(&n)
			all = append(all, n)
			return err
		})
	}))
	return all
}

// line is a queue of closures behind one that is under way, so that they share
// a transaction. It needs a bubble.
type line struct {
	db   *sqlite.DB
	goOn chan struct{}
	all  sync.WaitGroup
	errs []*error
}

func lineUp(db *sqlite.DB) *line {
	l := &line{db: db, goOn: make(chan struct{})}
	started := make(chan struct{})
	l.all.Go(func() {
		_ = db.Write(context.Background(), func(sqlstore.Tx) error {
			close(started)
			<-l.goOn
			return nil
		})
	})
	<-started
	return l
}

func (l *line) add(ctx context.Context, f func(sqlstore.Tx) error) {
	err := new(error)
	l.errs = append(l.errs, err)
	l.all.Go(func() { *err = l.db.Write(ctx, f) })
	synctest.Wait() // in this order
}

// run returns the errors of the closures.
func (l *line) run() (errs []error) {
	close(l.goOn)
	l.all.Wait()
	for _, err := range l.errs {
		errs = append(errs, *err)
	}
	return errs
}

func together(db *sqlite.DB, closures ...func(sqlstore.Tx) error) []error {
	l := lineUp(db)
	for _, f := range closures {
		l.add(context.Background(), f)
	}
	return l.run()
}

func TestAClosureSpoilsOnlyItself(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		spoils func(sqlstore.Tx) error
		want   error // what its caller gets; nil: any error
	}{
		{"an error", func(sqlstore.Tx) error { return broken }, broken},
		{"an error after a write", func(tx sqlstore.Tx) error { return errors.Join(insert(99)(tx), broken) }, broken},
		{"a panic after a write", func(tx sqlstore.Tx) error { _ = insert(99)(tx); panic("broken") }, nil},
		{"a statement that fails", insert(1), nil},
		{"the end of the whole transaction", func(tx sqlstore.Tx) error {
			return errors.Join(tx.Exec("ROLLBACK"), broken) // as SQLite does on a full disk
		}, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := scratch(t)
				errs := together(db, insert(1), tt.spoils, insert(2))
				require.NoError(t, errs[0])
				require.NoError(t, errs[2])
				require.Error(t, errs[1])
				if tt.want != nil {
					require.ErrorIs(t, errs[1], tt.want)
				}
				require.Equal(t, []int64{1, 2}, numbers(t, db))

				require.Error(t, db.Write(t.Context(), tt.spoils), "alone in its transaction")
				require.NoError(t, db.Write(t.Context(), insert(3)))
				require.Equal(t, []int64{1, 2, 3}, numbers(t, db))
			})
		})
	}
}

func TestAFailureRepeatsItsBatchAndNotThoseThatFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		calls := 0
		counted := func(n int64) func(sqlstore.Tx) error {
			return func(tx sqlstore.Tx) error { calls++; return insert(n)(tx) }
		}
		require.NoError(t, errors.Join(together(db, counted(1), counted(2))...))
		require.Equal(t, 2, calls)
		for i, want := range []int{4, 2, 2} { // then there are savepoints
			calls = 0
			errs := together(db, counted(int64(3+i)), counted(1), func(tx sqlstore.Tx) error { return nil })
			require.NoError(t, errs[0])
			require.Error(t, errs[1])
			require.NoError(t, errs[2])
			require.Equal(t, want, calls)
		}
		require.Equal(t, []int64{1, 2, 3, 4, 5}, numbers(t, db))
	})
}

func TestAClosureWhoseContextEndedBeforeItsTurnIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		ctx, cancel := context.WithCancel(t.Context())
		l := lineUp(db)
		l.add(t.Context(), func(tx sqlstore.Tx) error { cancel(); return insert(1)(tx) })
		l.add(ctx, insert(99))
		l.add(t.Context(), insert(2))
		errs := l.run()
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[1], context.Canceled)
		require.NoError(t, errs[2])
		require.Equal(t, []int64{1, 2}, numbers(t, db))
	})
}

func TestAClosureOnceStartedHasItsTrueOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		cancelled := func(n int64) (context.Context, func(sqlstore.Tx) error) {
			ctx, cancel := context.WithCancel(t.Context())
			return ctx, func(tx sqlstore.Tx) error {
				cancel()
				synctest.Wait() // its caller knows
				return insert(n)(tx)
			}
		}
		ctx, f := cancelled(1)
		require.NoError(t, db.Write(ctx, f))
		l := lineUp(db)
		l.add(cancelled(2))
		l.add(cancelled(3))
		require.NoError(t, errors.Join(l.run()...))
		require.Equal(t, []int64{1, 2, 3}, numbers(t, db))
	})
}

func TestCallersInTheQueueMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		started, goOn := make(chan struct{}), make(chan struct{})
		first := make(chan error)
		go func() {
			first <- db.Write(t.Context(), func(sqlstore.Tx) error { close(started); <-goOn; return nil })
		}()
		<-started
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error)
		go func() { second <- db.Write(ctx, insert(99)) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-second, context.Canceled, "answered while the writer is busy")
		close(goOn)
		require.NoError(t, <-first)
		require.Empty(t, numbers(t, db))
	})
}

func TestACommitThatFailsFailsEveryClosure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A foreign key that is checked by COMMIT.
		app, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)")
		require.NoError(t, err)
		defer app.Close()
		_, err = app.Exec(`CREATE TABLE upkeep_number (n INTEGER PRIMARY KEY REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
			CREATE TABLE parent (n INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1), (2), (3)`)
		require.NoError(t, err)
		db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
		require.NoError(t, err)
		defer db.Close()

		for i, err := range together(db, insert(1), insert(99), insert(2)) {
			require.Error(t, err, i)
		}
		require.NoError(t, db.Write(t.Context(), insert(3)), "the next transaction")
		require.Equal(t, []int64{3}, numbers(t, db))
	})
}

func TestManyCallersShareTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := scratch(t)
		closures := make([]func(sqlstore.Tx) error, 1000)
		for i := range closures {
			closures[i] = insert(int64(i))
		}
		commits := db.CountCommits()
		require.NoError(t, errors.Join(together(db, closures...)...))
		require.Len(t, numbers(t, db), 1000)
		require.EqualValues(t, 3, commits.Load(), "the one under way, 512, and the rest")
	})
}

func TestAClosedDatabaseRefusesClosuresAndFinishesThoseItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db, err := sqlite.Open(sqlite.Config{Path: path})
		require.NoError(t, err)
		var writes sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			writes.Go(func() {
				errs[i] = db.Write(t.Context(), func(tx sqlstore.Tx) error {
					return tx.Exec(fmt.Sprintf("CREATE TABLE upkeep_%d (n INTEGER)", i))
				})
			})
		}
		require.NoError(t, db.Close())
		writes.Wait()
		again := open(t, sqlite.Config{Path: path})
		for i, err := range errs {
			var n int64
			there := again.Read(t.Context(), func(tx sqlstore.Tx) error {
				return tx.Row("SELECT count(*) FROM sqlite_schema WHERE name = ?1", []any{fmt.Sprintf("upkeep_%d", i)}, &n)
			})
			require.NoError(t, there)
			if err == nil {
				require.EqualValues(t, 1, n)
			} else {
				require.ErrorIs(t, err, storage.ErrClosed)
				require.Zero(t, n)
			}
		}
		require.ErrorIs(t, db.Write(t.Context(), insert(1)), storage.ErrClosed)
	})
}

// asking is a context that asks the engine whether it is over, as that of a
// holder does after the machine has slept.
type asking struct {
	context.Context
	db    *sqlite.DB
	asked atomic.Int64
}

func (a *asking) Err() error {
	if a.asked.Add(1) == 1 {
		return nil // the machine is yet to sleep
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return a.db.Write(ctx, func(sqlstore.Tx) error { return nil })
}

func TestAContextMayAskTheEngine(t *testing.T) {
	for name, queue := range map[string]bool{"alone": false, "in a queue": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := scratch(t)
				l := &line{db: db, goOn: make(chan struct{})}
				if queue {
					l = lineUp(db)
				}
				ctx, began := &asking{Context: t.Context(), db: db}, time.Now()
				l.all.Go(func() { require.NoError(t, db.Write(ctx, insert(1))) })
				synctest.Wait()
				close(l.goOn)
				l.all.Wait()
				require.Less(t, time.Since(began), time.Minute)
				require.Equal(t, []int64{1}, numbers(t, db))
			})
		})
	}
}
