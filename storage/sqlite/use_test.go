package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/storagetest"
	"github.com/upkeep-go/upkeep/update"
)

// application opens a database of an application's own.
func application(t testing.TB, path string, pragmas string) *sql.DB {
	app, err := sql.Open("sqlite", "file:"+path+"?"+pragmas)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, app.Close()) })
	return app
}

func shop(t testing.TB) (*sql.DB, *sqlite.DB) {
	app := application(t, filepath.Join(t.TempDir(), "app.db"), "_pragma=journal_mode(WAL)")
	_, err := app.Exec("CREATE TABLE customer (name TEXT)")
	require.NoError(t, err)
	db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return app, db
}

// both closes what storagetest closes and the application's database with it.
type both struct {
	*sqlite.DB
	app *sql.DB
}

func (b both) Close() error { return errors.Join(b.DB.Close(), b.app.Close()) }

// TestSuitesInADatabaseOfTheApplication takes long, because nothing is kept
// prepared on connections that are borrowed.
func TestSuitesInADatabaseOfTheApplication(t *testing.T) {
	if !historytest.Full() {
		t.Skip("UPKEEP_FULL=1 runs it, without the race detector")
	}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t testing.TB) storage.Backend {
			path := filepath.Join(t.TempDir(), "app.db")
			app, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
			require.NoError(t, err)
			app.SetMaxOpenConns(1)
			db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
			require.NoError(t, err)
			return both{db, app}
		},
		Histories: 30,
	})
}

func TestWatchSeesWhatTheApplicationCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, db := shop(t)
		app.SetMaxOpenConns(1) // of which Watch keeps none
		seen := make(chan string)
		go func() {
			defer close(seen)
			for e, err := range db.Journal().Watch(t.Context(), 0) {
				if err != nil {
					return
				}
				seen <- e.Run
			}
		}()
		require.NoError(t, create(db, "by itself", 0))
		require.Equal(t, "by itself", <-seen)

		tx, err := app.Begin()
		require.NoError(t, err)
		run := update.Run{ID: "within", Package: "demo/site", Item: "core", State: update.StateRunning, Token: 1}
		_, err = db.Within(tx).Journal().Create(t.Context(), run, update.Event{Kind: update.EventStarted})
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		committed := time.Now()
		require.Equal(t, "within", <-seen)
		require.LessOrEqual(t, time.Since(committed), 250*time.Millisecond)
	})
}

func TestWithinAWriteThatFailsLeavesTheTransactionAsItWas(t *testing.T) {
	app, db := shop(t)
	_, err := db.Journal().Get(t.Context(), "none")
	require.ErrorIs(t, err, update.ErrNotFound, "it has made the tables")
	_, err = app.Exec(`CREATE TRIGGER upkeep_full BEFORE INSERT ON upkeep_update_event
		WHEN new.seq > 1 BEGIN SELECT raise(ABORT, 'full'); END`)
	require.NoError(t, err)
	tx, err := app.Begin()
	require.NoError(t, err)
	in := db.Within(tx).Journal()
	run := update.Run{ID: "first", Package: "demo", Item: "core", Token: 1, State: update.StateRunning}
	_, err = in.Create(t.Context(), run, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	run.ID = "second"
	_, err = in.Create(t.Context(), run, update.Event{Kind: update.EventStarted})
	require.Error(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"first"}, runs(t, db))
}

func TestWithinCannotWatch(t *testing.T) {
	app, db := shop(t)
	tx, err := app.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	seen := 0
	for _, err := range db.Within(tx).Journal().Watch(t.Context(), 0) {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		seen++
	}
	require.Equal(t, 1, seen)
}

func TestWithinKeepsAContextThatEndedFromTheTransaction(t *testing.T) {
	app, db := shop(t)
	tx, err := app.Begin()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = db.Within(tx).Locker().Acquire(ctx, "core", "me", time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	_, err = db.Within(tx).Locker().Acquire(t.Context(), "core", "me", time.Hour)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
}

func TestUseLeavesTheDatabaseToTheApplication(t *testing.T) {
	app, db := shop(t)
	require.NoError(t, db.Close())
	_, err := db.Locker().Holder(t.Context(), "core")
	require.ErrorIs(t, err, storage.ErrClosed)
	require.NoError(t, app.Ping())
	require.Zero(t, app.Stats().InUse)
	var mark int
	require.NoError(t, app.QueryRow("PRAGMA application_id").Scan(&mark))
	require.Zero(t, mark, "it is not a database of ours")

	rows, err := app.Query("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE 'upkeep%'")
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.Equal(t, []string{"customer"}, names)
}

func TestUseSaysThatThePoolIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, db := shop(t)
		app.SetMaxOpenConns(1)
		tx, err := app.Begin()
		require.NoError(t, err)
		began := time.Now()
		_, err = db.Locker().Acquire(t.Context(), "core", "me", time.Hour)
		require.ErrorIs(t, err, storage.ErrBusy)
		require.Equal(t, 5*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = db.Locker().Acquire(ctx, "core", "me", time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, tx.Rollback())
		_, err = db.Locker().Acquire(t.Context(), "core", "me", time.Hour)
		require.NoError(t, err)
	})
}

func TestUseWaitsForWritersOfTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, db := shop(t)
		tx, err := app.Begin()
		require.NoError(t, err)
		_, err = tx.Exec("INSERT INTO customer VALUES ('Ada')")
		require.NoError(t, err)
		done := make(chan error)
		go func() { done <- take(db, "core") }()
		time.Sleep(4 * time.Second)
		select {
		case <-done:
			require.Fail(t, "two writers at once")
		default:
		}
		require.NoError(t, tx.Commit())
		require.NoError(t, <-done)
	})
}

func TestReadersWaitForWritersOfAnApplicationWithoutALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		app := application(t, path, "") // a journal that is rolled back, and no busy_timeout
		db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, take(db, "core"))
		lock := func() (release func()) {
			conn, err := app.Conn(t.Context())
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
			require.NoError(t, err)
			return func() {
				_, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
				require.NoError(t, errors.Join(err, conn.Close()))
			}
		}
		reads := map[string]func(context.Context) error{
			"a row": func(ctx context.Context) error { _, err := db.Locker().Holder(ctx, "core"); return err },
			"a snapshot": func(ctx context.Context) error {
				for _, err := range db.Versions().Tables(ctx) {
					return err
				}
				return nil
			},
		}
		for name, read := range reads {
			release := lock()
			began := time.Now()
			require.ErrorIs(t, read(t.Context()), storage.ErrBusy, name)
			require.InDelta(t, 5*time.Second, time.Since(began), float64(100*time.Millisecond), name)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, read(ctx), context.DeadlineExceeded, name)
			cancel()
			done := make(chan error)
			go func() { done <- read(t.Context()) }()
			time.Sleep(2 * time.Second)
			release()
			released := time.Now()
			require.NoError(t, <-done, name)
			require.LessOrEqual(t, time.Since(released), 50*time.Millisecond, name)
		}
	})
}

func TestUseRefusesOtherDrivers(t *testing.T) {
	db := sql.OpenDB(other{})
	defer db.Close()
	_, err := sqlite.Use(t.Context(), db, sqlite.Config{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// other is a driver that is not SQLite's.
type other struct{}

func (other) Connect(context.Context) (driver.Conn, error) { return nil, errors.New("no") }
func (other) Driver() driver.Driver                        { return nil }

func TestAPoolOnADatabaseInMemoryIsRefused(t *testing.T) {
	app, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	defer app.Close()
	_, err = sqlite.Use(t.Context(), app, sqlite.Config{})
	require.ErrorContains(t, err, "SetMaxOpenConns(1)")
	app.SetMaxOpenConns(1)
	db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
