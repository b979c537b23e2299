package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

func file(oldest int, script string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, "-- oldest: %04d\n%s", oldest, script)}
}

// library is the migrations of a library: one of each domain, and more.
func library(more fstest.MapFS) fstest.MapFS {
	files := fstest.MapFS{
		"lease/0001_one.sql": file(1, "lease 1"), "update/0001_one.sql": file(1, "update 1"), "lv/0001_one.sql": file(1, "lv 1"),
		"firmware/0001_one.sql": file(1, "firmware 1"), "rollout/0001_one.sql": file(1, "rollout 1"),
		"sync/0001_one.sql": file(1, "sync 1"),
	}
	maps.Copy(files, more)
	return files
}

// lock uses the store of leases, and get that of runs.
func lock(s *sqlstore.Stores) error {
	_, err := s.Locker().Acquire(context.Background(), "core", "me", time.Hour)
	return ignore(err)
}

func get(s *sqlstore.Stores) error {
	_, err := s.Journal().Get(context.Background(), "none")
	return ignore(err)
}

func ignore(err error) error {
	if errors.Is(err, errNoSQL) {
		return nil
	}
	return err
}

func stores(t *testing.T, db *database, files fstest.MapFS) *sqlstore.Stores {
	t.Helper()
	s, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db, Migrations: files})
	require.NoError(t, err)
	return s
}

func TestMigrationsOfADomainAreDoneWhenItsStoreIsFirstUsed(t *testing.T) {
	db := &database{}
	s := stores(t, db, library(fstest.MapFS{"lease/0002_two.sql": file(1, "lease 2")}))
	require.Empty(t, db.scripts)
	require.NoError(t, lock(s))
	require.Equal(t, []string{"lease 1", "lease 2"}, db.scripts, "in order")
	require.NoError(t, lock(s))
	require.NoError(t, get(s))
	require.Equal(t, []string{"lease 1", "lease 2", "update 1"}, db.scripts, "once, and those of other domains by themselves")

	s = stores(t, db, library(fstest.MapFS{
		"lease/0002_two.sql": file(1, "lease 2"), "lease/0003_three.sql": file(1, "lease 3"),
	}))
	require.NoError(t, lock(s))
	require.Equal(t, []string{"lease 1", "lease 2", "update 1", "lease 3"}, db.scripts)
}

func TestMigrationsOfAnotherProcessCount(t *testing.T) {
	files := library(fstest.MapFS{"lease/0002_two.sql": file(1, "lease 2"), "lease/0003_three.sql": file(1, "lease 3")})
	db := &database{}
	s := stores(t, db, files)
	other := stores(t, db, files)
	db.after = func() {
		db.after = nil
		require.NoError(t, lock(other))
	}
	require.NoError(t, lock(s))
	require.Equal(t, []string{"lease 1", "lease 2", "lease 3"}, db.scripts)
}

func TestOnceTheTablesAreThereNothingIsLookedAt(t *testing.T) {
	db := &database{}
	s := stores(t, db, library(nil))
	require.NoError(t, lock(s))
	looked := db.looks
	for range 3 {
		require.NoError(t, lock(s))
	}
	require.Equal(t, looked, db.looks)
}

func TestMigrationsAreRefused(t *testing.T) {
	two := fstest.MapFS{"lease/0002_two.sql": file(2, "lease 2")}
	tests := []struct {
		name     string
		there    fstest.MapFS // besides those of the library
		files    fstest.MapFS
		atOnce   error
		whenUsed error
	}{
		{"a newer one that allows nobody older", two, library(nil), nil, storage.ErrNewer},
		{"a newer one behind one that allows older ones", fstest.MapFS{
			"lease/0002_two.sql": file(1, "lease 2"), "lease/0003_three.sql": file(2, "lease 3"),
		}, library(nil), nil, storage.ErrNewer},
		{"one that allows nobody older before one that only adds", fstest.MapFS{
			"lease/0002_two.sql": file(2, "lease 2"), "lease/0003_three.sql": file(1, "lease 3"),
		}, library(nil), nil, storage.ErrNewer},
		{"a newer one that only adds", fstest.MapFS{"lease/0002_two.sql": file(1, "lease 2")}, library(nil), nil, nil},
		{"some of them", fstest.MapFS{
			"lease/0002_two.sql": file(2, "lease 2"), "lease/0003_three.sql": file(2, "lease 3"),
		}, library(two), nil, nil},
		{"an edited one", two, library(fstest.MapFS{"lease/0002_two.sql": file(2, "lease 2, edited")}), storage.ErrForeign, nil},
		{"one that says something else about older ones", two, library(fstest.MapFS{"lease/0002_two.sql": file(1, "lease 2")}), storage.ErrForeign, nil},
		{"an edited one of a store that nobody uses", nil, library(fstest.MapFS{"update/0001_one.sql": file(1, "edited")}), storage.ErrForeign, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := &database{}
			s := stores(t, db, library(tt.there))
			require.NoError(t, lock(s))
			require.NoError(t, get(s))
			before := slices.Clone(db.scripts)
			s, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db, Migrations: tt.files})
			require.ErrorIs(t, err, tt.atOnce)
			if tt.atOnce == nil {
				require.ErrorIs(t, lock(s), tt.whenUsed)
				require.ErrorIs(t, s.Check(t.Context()), tt.whenUsed)
				require.NoError(t, get(s), "another store goes on")
				if tt.whenUsed != nil {
					require.ErrorContains(t, lock(s), ".sql", "it says which")
				}
			}
			require.Equal(t, before, db.scripts)
		})
	}
}

func TestMigrationsThatAreNotInOrderAreRefused(t *testing.T) {
	for name, more := range map[string]fstest.MapFS{
		"a gap":                 {"lease/0003_two.sql": file(1, "two")},
		"a number twice":        {"lease/0001_two.sql": file(1, "two")},
		"a name without number": {"lease/two.sql": file(1, "two")},
		"no oldest":             {"lease/0002_two.sql": {Data: []byte("two")}},
		"oldest is 0":           {"lease/0002_two.sql": file(0, "two")},
		"oldest is later":       {"lease/0002_two.sql": file(3, "two")},
		"oldest twice":          {"lease/0002_two.sql": file(1, "-- oldest: 0002\ntwo")},
		"oldest is no number":   {"lease/0002_two.sql": {Data: []byte("-- oldest: all\ntwo")}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlstore.New(t.Context(), sqlstore.Config{DB: &database{}, Migrations: library(more)})
			require.ErrorContains(t, err, "two.sql")
		})
	}
	_, err := sqlstore.New(t.Context(), sqlstore.Config{DB: &database{}, Migrations: fstest.MapFS{}})
	require.Error(t, err, "none at all")
}

func TestAMigrationThatFailsIsDoneAgain(t *testing.T) {
	db := &database{fails: "lease 2"}
	s := stores(t, db, library(fstest.MapFS{"lease/0002_two.sql": file(1, "lease 2")}))
	require.ErrorIs(t, lock(s), errBroken)
	require.ErrorIs(t, lock(s), errBroken)
	require.NoError(t, get(s))
	db.fails = ""
	require.NoError(t, lock(s))
	require.Equal(t, []string{"lease 1", "update 1", "lease 2"}, db.scripts)
}

func TestAContextEndsTheWaitForAMigration(t *testing.T) {
	db := &database{}
	s := stores(t, db, library(nil))
	ended, end := context.WithCancel(t.Context())
	end()
	waited := false
	db.after = func() {
		db.after = nil
		_, err := s.Locker().Holder(ended, "core")
		waited = errors.Is(err, context.Canceled)
	}
	require.NoError(t, lock(s))
	require.True(t, waited)
}

var (
	errBroken = errors.New("broken")
	errNoSQL  = errors.New("a database that knows migrations only")
)

// database remembers scripts and what is in upkeep_schema.
type database struct {
	scripts []string
	rows    [][]any
	fails   string
	looks   int
	after   func() // called after a write that succeeds
}

func (d *database) Write(_ context.Context, f func(sqlstore.Tx) error) error {
	scripts, rows := slices.Clone(d.scripts), slices.Clone(d.rows)
	if err := f(transaction{d}); err != nil {
		d.scripts, d.rows = scripts, rows
		return err
	}
	if d.after != nil {
		d.after()
	}
	return nil
}

func (d *database) Read(_ context.Context, f func(sqlstore.Tx) error) error { return f(transaction{d}) }

func (d *database) Row(context.Context, string, []any, ...any) error { return errNoSQL }

func (d *database) Changed(context.Context) <-chan struct{} { return nil }

func (d *database) Dialect() sqlstore.Dialect {
	return sqlstore.Dialect{Host: sqlstore.Host{Tick: func() int64 { return 0 }}}
}

type transaction struct{ *database }

func (t transaction) Exec(query string, args ...any) error {
	script := query[strings.Index(query, "\n")+1:]
	switch {
	case t.fails != "" && script == t.fails:
		return errBroken
	case strings.Contains(query, "INSERT INTO upkeep_schema"):
		t.rows = append(t.rows, args)
	case !strings.Contains(query, "upkeep_"):
		t.scripts = append(t.scripts, script)
	}
	return nil
}

func (t transaction) Row(query string, _ []any, _ ...any) error {
	if strings.Contains(query, "upkeep_history") {
		return sql.ErrNoRows
	}
	return errNoSQL
}

func (t transaction) Query(query string, args []any, each func(scan func(...any) error) error) error {
	if !strings.Contains(query, "upkeep_schema") {
		return errNoSQL
	}
	t.looks++
	for _, row := range t.rows {
		if row[0] != args[0] {
			continue
		}
		err := each(func(dest ...any) error {
			*dest[0].(*int64), *dest[1].(*string), *dest[2].(*string) = row[1].(int64), row[2].(string), row[3].(string)
			*dest[3].(*int64) = row[4].(int64)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
