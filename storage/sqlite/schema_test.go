package sqlite_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

func schemaHarness() storagetest.SchemaHarness {
	return storagetest.SchemaHarness{
		Fresh: func(t testing.TB) string { return filepath.Join(t.TempDir(), "state.db") },
		Open: func(_ testing.TB, path string, migrations fs.FS) (storage.Backend, error) {
			return backend(sqlite.OpenWith(sqlite.Config{Path: path, Relaxed: true}, migrations))
		},
		Tables: func(t testing.TB, path string) (names []string) {
			db, err := sql.Open("sqlite", "file:"+path)
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close()) }()
			rows, err := db.Query("SELECT name FROM sqlite_schema WHERE type = 'table'")
			require.NoError(t, err)
			defer rows.Close()
			for rows.Next() {
				var name string
				require.NoError(t, rows.Scan(&name))
				names = append(names, name)
			}
			require.NoError(t, rows.Err())
			return names
		},
	}
}

// backend lets no nil of another type through.
func backend(db *sqlite.DB, err error) (storage.Backend, error) {
	if err != nil {
		return nil, err
	}
	return db, nil
}

func TestSchema(t *testing.T) { storagetest.RunSchema(t, schemaHarness()) }

func TestSchemaInADatabaseOfTheApplication(t *testing.T) {
	h := schemaHarness()
	h.Open = func(t testing.TB, path string, migrations fs.FS) (storage.Backend, error) {
		app, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
		require.NoError(t, err)
		db, err := sqlite.UseWith(t.Context(), app, sqlite.Config{}, migrations)
		if err != nil {
			return nil, errors.Join(err, app.Close())
		}
		return both{db, app}, nil
	}
	storagetest.RunSchema(t, h)
}

// ofNewer is the file of a database that a newer library has made the tables of,
// which takes longer than most cases, and that nobody has used: it has no history.
func ofNewer(t testing.TB) []byte {
	path := filepath.Join(t.TempDir(), "state.db")
	newer, err := sqlite.OpenWith(sqlite.Config{Path: path, Relaxed: true}, storagetest.Crowded())
	require.NoError(t, err)
	newer.Engine() // has the tables
	require.NoError(t, newer.Close())
	rawly(t, path, "UPDATE upkeep_update_run SET more = more", "DELETE FROM upkeep_history") // the one has more columns
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	return file
}

// TestSuitesOnTablesOfANewerLibrary has this library use tables that have got
// more columns.
func TestSuitesOnTablesOfANewerLibrary(t *testing.T) {
	if !historytest.Full() {
		t.Skip("UPKEEP_FULL=1 runs it, without the race detector")
	}
	var paths sync.Map // of the open engines
	openAt := func(t testing.TB, path string, r storage.Retention) storage.Backend {
		db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true, Retention: r})
		require.NoError(t, err)
		paths.Store(db, path)
		return db
	}
	newer := ofNewer(t)
	fresh := func(t testing.TB, r storage.Retention) storage.Backend {
		path := filepath.Join(t.TempDir(), "state.db")
		require.NoError(t, os.WriteFile(path, newer, 0o600))
		return openAt(t, path, r)
	}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t testing.TB) storage.Backend { return fresh(t, storage.Retention{}) },
		Again: func(t testing.TB, first storage.Backend) storage.Backend {
			path, _ := paths.Load(first)
			return openAt(t, path.(string), storage.Retention{})
		},
		Retain:    fresh,
		Histories: 30,
	})
}

// opener is the Open of a storagetest.SchemaHarness.
type opener = func(t testing.TB, path string, migrations fs.FS) (storage.Backend, error)

// faulty has the calls of what it opens go through a fault.
func faulty(fault func(migrations fs.FS) storagetest.Fault) opener {
	return func(t testing.TB, path string, migrations fs.FS) (storage.Backend, error) {
		b, err := schemaHarness().Open(t, path, migrations)
		if err != nil {
			return nil, err
		}
		return storagetest.NewFaulty(b, fault(migrations)), nil
	}
}

// refuseOlder refuses the calls of older libraries once there was a newer one.
func refuseOlder() opener {
	var newer bool
	return faulty(func(migrations fs.FS) storagetest.Fault {
		newer = newer || migrations != nil
		return func(_ string, call func() error) error {
			if newer && migrations == nil {
				return storage.ErrNewer
			}
			return call()
		}
	})
}

// busyAtFirst refuses the first call.
func busyAtFirst(fs.FS) storagetest.Fault {
	var called atomic.Bool
	return func(_ string, call func() error) error {
		if !called.Swap(true) {
			return storage.ErrBusy
		}
		return call()
	}
}

// brokenForGood returns the first error again and again.
func brokenForGood(fs.FS) storagetest.Fault {
	var first error
	return func(_ string, call func() error) error {
		if first == nil {
			first = call()
		}
		return first
	}
}

func TestEveryCaseOfRunSchemaCatchesABrokenEngine(t *testing.T) {
	good := schemaHarness().Open
	var newest fs.FS
	var mutants []provetest.Mutant
	for _, m := range []struct {
		what, caught string
		open         opener
	}{
		{"makes all tables", "a database has the tables of the stores that are used",
			func(_ testing.TB, path string, migrations fs.FS) (storage.Backend, error) {
				db, err := sqlite.OpenWith(sqlite.Config{Path: path}, migrations)
				db.Engine()
				return backend(db, err)
			}},
		{"is busy with its tables", "first uses at once are all done", faulty(busyAtFirst)},
		{"stays broken", "a first use that is refused is tried again", faulty(brokenForGood)},
		{"refuses additions", "an older library goes on with what a newer one only added to", refuseOlder()},
		{"stops when something is added", "libraries of different age write side by side", refuseOlder()},
		{"takes itself for the newest", "an older library refuses what a newer one has changed",
			func(t testing.TB, path string, migrations fs.FS) (storage.Backend, error) {
				if migrations != nil && newest == nil {
					newest = migrations
				}
				return good(t, path, newest)
			}},
		{"takes any tables for its own", "tables of other migrations are refused",
			func(t testing.TB, path string, migrations fs.FS) (storage.Backend, error) {
				b, err := good(t, path, migrations)
				if errors.Is(err, storage.ErrForeign) {
					return good(t, path, nil)
				}
				return b, err
			}},
	} {
		mutants = append(mutants, provetest.Mutant{What: m.what, Caught: m.caught, Cases: schemaCases(m.open)})
	}
	provetest.Prove(t, schemaCases(good), mutants)
}

func schemaCases(open opener) (cases []suitetest.Case) {
	h := schemaHarness()
	h.Open = open
	for name, run := range h.Cases() {
		cases = append(cases, suitetest.Case{Name: name, Run: run})
	}
	return cases
}
