package storagetest_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/storagetest"
	"github.com/upkeep-go/upkeep/update"
)

// shop is an engine in the database of an application.
type shop struct {
	*sqlite.DB
	app *sql.DB
}

// withinHarness is of SQLite, some of which is replaced.
func withinHarness(breakIt func(storage.Backend, *storagetest.Transaction)) storagetest.WithinHarness {
	return storagetest.WithinHarness{
		Open: func(t testing.TB) storage.Backend {
			app, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
			require.NoError(t, err)
			t.Cleanup(func() { app.Close() })
			_, err = app.Exec("CREATE TABLE customer (name TEXT)")
			require.NoError(t, err)
			db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
			require.NoError(t, err)
			return &shop{db, app}
		},
		Begin: func(t testing.TB, b storage.Backend) storagetest.Transaction {
			s := b.(*shop)
			tx, err := s.app.Begin()
			require.NoError(t, err)
			result := storagetest.Transaction{
				Stores: s.Within(tx),
				Change: func() error { _, err := tx.Exec("INSERT INTO customer VALUES ('Ada')"); return err },
				Changes: func() (n int) {
					require.NoError(t, s.app.QueryRow("SELECT count(*) FROM customer").Scan(&n))
					return n
				},
				Commit: tx.Commit, Rollback: tx.Rollback,
			}
			breakIt(b, &result)
			return result
		},
	}
}

func TestAnEngineInADatabaseOfAnApplicationPasses(t *testing.T) {
	storagetest.RunWithin(t, withinHarness(unbroken))
}

func unbroken(storage.Backend, *storagetest.Transaction) {}

func withinCases(breakIt func(storage.Backend, *storagetest.Transaction)) (cases []suitetest.Case) {
	for name, run := range withinHarness(breakIt).Cases() {
		cases = append(cases, suitetest.Case{Name: name, Run: run})
	}
	return cases
}

// through has the calls within go through a fault.
func through(fault func(*storagetest.Transaction) storagetest.Fault) func(storage.Backend, *storagetest.Transaction) {
	return func(_ storage.Backend, tx *storagetest.Transaction) {
		tx.Stores = storagetest.NewFaulty(tx.Stores, fault(tx))
	}
}

// spoiltBy has a transaction end at an error of a call.
func spoiltBy(spoils func(error) bool) func(storage.Backend, *storagetest.Transaction) {
	return through(func(tx *storagetest.Transaction) storagetest.Fault {
		return func(_ string, call func() error) error {
			err := call()
			if spoils(err) {
				tx.Commit = tx.Rollback
				_ = tx.Rollback()
			}
			return err
		}
	})
}

// forgetsTables fails once a transaction has been rolled back.
func forgetsTables() func(storage.Backend, *storagetest.Transaction) {
	back := false
	return func(_ storage.Backend, tx *storagetest.Transaction) {
		tx.Stores = storagetest.NewFaulty(tx.Stores, func(_ string, call func() error) error {
			if back {
				return errors.New("no such table")
			}
			return call()
		})
		rollback := tx.Rollback
		tx.Rollback = func() error { back = true; return rollback() }
	}
}

// oneAtATime refuses a call while there is another.
func oneAtATime(*storagetest.Transaction) storagetest.Fault {
	var turn sync.Mutex
	return func(_ string, call func() error) error {
		if !turn.TryLock() {
			return storage.ErrBusy
		}
		defer turn.Unlock()
		time.Sleep(time.Millisecond)
		return call()
	}
}

func TestEveryCaseOfRunWithinCatchesABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	for _, m := range []struct {
		what, caught string
		broken       func(storage.Backend, *storagetest.Transaction)
	}{
		{"commits nothing", "what is written within happens with the transaction or not at all",
			func(_ storage.Backend, tx *storagetest.Transaction) { tx.Commit = tx.Rollback }},
		{"writes outside", "what is written within happens with the transaction or not at all",
			func(b storage.Backend, tx *storagetest.Transaction) { tx.Stores = b }},
		{"believes in tables", "tables that a transaction took back are made again", forgetsTables()},
		{"gives up at a refusal", "what is refused within leaves the transaction as it was",
			spoiltBy(func(err error) bool { return errors.Is(err, lease.ErrHeld) })},
		{"gives up with a context", "a context that has ended costs the transaction nothing",
			spoiltBy(func(err error) bool { return errors.Is(err, context.Canceled) })},
		{"takes one call at a time", "stores within are used side by side", through(oneAtATime)},
		{"makes stores when asked", "stores within are the same at every call",
			func(_ storage.Backend, tx *storagetest.Transaction) {
				in := tx.Stores
				tx.Stores = &changed{Backend: in, stores: func() update.Journal { return &journal{Journal: in.Journal()} }}
			}},
		{"watches outside", "a watch within is unsupported",
			func(b storage.Backend, tx *storagetest.Transaction) {
				tx.Stores = &changed{Backend: tx.Stores, stores: b.Journal}
			}},
		{"closes the engine", "closing what is within does nothing",
			func(b storage.Backend, tx *storagetest.Transaction) {
				tx.Stores = &changed{Backend: tx.Stores, close: b.Close}
			}},
		{"works when closed", "a closed engine refuses calls within",
			func(_ storage.Backend, tx *storagetest.Transaction) { tx.Stores = memory.New() }},
		{"tells nobody", "a watcher hears of what was written within",
			func(_ storage.Backend, tx *storagetest.Transaction) { tx.Commit = tx.Rollback }},
	} {
		mutants = append(mutants, provetest.Mutant{What: m.what, Caught: m.caught, Cases: withinCases(m.broken)})
	}
	provetest.Prove(t, withinCases(unbroken), mutants)
}
