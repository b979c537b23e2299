package storagetest

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// SchemaHarness describes an engine that keeps its state in tables.
type SchemaHarness struct {
	// Fresh returns the address of a fresh database.
	Fresh func(t testing.TB) string
	// Open opens a database as the library that has these migrations does; nil
	// are those of this one. The suite closes what it returns.
	Open func(t testing.TB, address string, migrations fs.FS) (storage.Backend, error)
	// Tables returns the names of the tables of a database.
	Tables func(t testing.TB, address string) []string
}

// RunSchema checks that tables are made when they are needed, and that programs
// with libraries of different age share a database.
func RunSchema(t *testing.T, h SchemaHarness) {
	for name, run := range h.Cases() {
		t.Run(name, func(t *testing.T) { run(t) })
	}
}

// Cases yields the cases of RunSchema, for who proves that they catch a broken
// engine.
func (h SchemaHarness) Cases() iter.Seq2[string, func(testing.TB)] {
	return func(yield func(string, func(testing.TB)) bool) {
		for _, c := range []struct {
			name string
			run  func(testing.TB, SchemaHarness)
		}{
			{"a database has the tables of the stores that are used", tablesOfUse},
			{"first uses at once are all done", firstUsesAtOnce},
			{"a first use that is refused is tried again", firstUseAgain},
			{"an older library goes on with what a newer one only added to", olderGoesOn},
			{"libraries of different age write side by side", sideBySide},
			{"an older library refuses what a newer one has changed", olderRefuses},
			{"tables of other migrations are refused", otherMigrations},
		} {
			if !yield(c.name, func(t testing.TB) { c.run(t, h) }) {
				return
			}
		}
	}
}

func (h SchemaHarness) open(t testing.TB, address string, migrations fs.FS) storage.Backend {
	t.Helper()
	b, err := h.Open(t, address, migrations)
	require.NoError(t, err)
	return closing(t, b)
}

// during opens a database, does something and closes it.
func (h SchemaHarness) during(t testing.TB, address string, migrations fs.FS, do func(storage.Backend)) {
	t.Helper()
	b := h.open(t, address, migrations)
	do(b)
	require.NoError(t, b.Close())
}

// newer returns the migrations of a library that has one more for each of the
// domains. Older libraries may go on if it only adds.
func newer(base fs.FS, adds bool, scripts map[string]string) fs.FS {
	files := fstest.MapFS{}
	err := fs.WalkDir(base, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(base, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		panic(err) // they are in memory
	}
	for domain, script := range scripts {
		known, err := fs.Glob(base, domain+"/*.sql")
		if err != nil {
			panic(err)
		}
		next := len(known) + 1
		oldest := fmt.Sprintf("-- oldest: %04d", next)
		if adds {
			oldest = oldestLine.FindString(string(files[known[len(known)-1]].Data))
		}
		files[fmt.Sprintf("%s/%04d_next.sql", domain, next)] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "-- %04d: of a newer library.\n%s\n\n%s\n", next, oldest, script),
		}
	}
	return files
}

// notes returns statements that a migration may have that only adds.
func notes(table, key string) string {
	return strings.NewReplacer("{table}", table, "{key}", key).Replace(`
ALTER TABLE {table} ADD COLUMN note TEXT;
ALTER TABLE {table} ADD COLUMN stars {int} NOT NULL DEFAULT 3;
CREATE INDEX {table}_stars ON {table} (stars, {key});
CREATE TABLE {table}_note ({key} {bytes} PRIMARY KEY, note TEXT NOT NULL) {keyed};`)
}

// additions are the migrations of a library that has added to every domain.
func additions() fs.FS {
	scripts := map[string]string{}
	for _, s := range stores {
		scripts[s.domain] = notes(s.table, s.key)
	}
	return newer(sqlstore.Migrations(), true, scripts)
}

// later are statements of a migration that adds once more.
func (s store) later() string {
	return strings.NewReplacer("{table}", s.table, "{domain}", s.domain).Replace(`
ALTER TABLE {table} ADD COLUMN later TEXT;
CREATE TABLE upkeep_{domain}_later (id {int} PRIMARY KEY) {end};`)
}

// Crowded returns the migrations of a newer library that has added to every
// table the columns that other tables of its domain have: a statement that does
// not say whose column it means fails.
func Crowded() fs.FS {
	base := sqlstore.Migrations()
	entries, err := fs.ReadDir(base, ".")
	if err != nil {
		panic(err) // they are in memory
	}
	scripts := map[string]string{}
	for _, domain := range entries {
		if script := crowd(base, domain.Name()); script != "" {
			scripts[domain.Name()] = script
		}
	}
	return newer(base, true, scripts)
}

var (
	oldestLine = regexp.MustCompile(`(?m)^-- oldest: \d+$`)
	tableLine  = regexp.MustCompile(`^CREATE TABLE (\w+) \($`)
	columnLine = regexp.MustCompile(`^\t([a-z_]+) +(\{int\}|\{bytes\}|TEXT)`)
)

func crowd(base fs.FS, domain string) string {
	names, err := fs.Glob(base, domain+"/*.sql")
	if err != nil {
		panic(err)
	}
	tables, columns := map[string][]string{}, []string{"more"}
	for _, name := range names {
		data, err := fs.ReadFile(base, name)
		if err != nil {
			panic(err)
		}
		table := ""
		for line := range strings.Lines(string(data)) {
			line = strings.TrimRight(line, "\n")
			if m := tableLine.FindStringSubmatch(line); m != nil {
				table = m[1]
			} else if m := columnLine.FindStringSubmatch(line); m != nil {
				tables[table], columns = append(tables[table], m[1]), append(columns, m[1])
			}
		}
	}
	slices.Sort(columns)
	var script strings.Builder
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		for _, column := range slices.Compact(slices.Clone(columns)) {
			if !slices.Contains(tables[table], column) {
				fmt.Fprintf(&script, "ALTER TABLE %s ADD COLUMN %s TEXT;\n", table, column)
			}
		}
	}
	return script.String()
}

func tablesOfUse(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	b := h.open(t, address, nil)
	prefixes := []string{"upkeep_schema", "upkeep_history"}
	for _, s := range slices.Backward(stores) {
		for _, table := range h.Tables(t, address) {
			of := func(p string) bool { return strings.HasPrefix(table, p) }
			require.True(t, slices.ContainsFunc(prefixes, of), "%s is made before it is used", table)
		}
		has, err := s.has(t.Context(), b, "none")
		require.NoError(t, err)
		require.False(t, has)
		prefixes = append(prefixes, "upkeep_"+s.domain)
		require.Contains(t, h.Tables(t, address), s.table)
	}
}

func firstUsesAtOnce(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	var calls sync.WaitGroup
	for range 3 {
		b := h.open(t, address, additions())
		for i := range 4 {
			for _, s := range stores {
				calls.Go(func() { assert.NoError(t, s.write(t.Context(), b, fmt.Sprintf("%p %d", b, i))) })
			}
		}
	}
	calls.Wait()
}

func firstUseAgain(t testing.TB, h SchemaHarness) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, broken := range stores {
		address := h.Fresh(t)
		none := newer(sqlstore.Migrations(), true, map[string]string{broken.domain: "ALTER TABLE upkeep_none ADD COLUMN id TEXT;"})
		h.during(t, address, none, func(b storage.Backend) {
			for range 2 {
				_, err := broken.has(t.Context(), b, "none")
				require.Error(t, err)
			}
			for _, s := range stores {
				if s.domain != broken.domain {
					_, err := s.has(ended, b, "none")
					require.ErrorIs(t, err, context.Canceled)
					require.NoError(t, s.write(t.Context(), b, "1"), "the other stores go on")
				}
			}
		})
		h.during(t, address, nil, func(b storage.Backend) { must(t, b, "2") })
	}
}

func olderGoesOn(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	scripts := map[string]string{}
	for _, s := range stores {
		scripts[s.domain] = s.later()
	}
	next := additions()
	third := newer(next, true, scripts)
	for i, migrations := range []fs.FS{nil, next, nil, third, nil, next} {
		h.during(t, address, migrations, func(b storage.Backend) { work(t, b, i+1) })
	}
	for _, s := range stores {
		require.Subset(t, h.Tables(t, address), []string{s.table + "_note", "upkeep_" + s.domain + "_later"})
	}
}

func sideBySide(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	older := h.open(t, address, nil)
	work(t, older, 1)
	newest := h.open(t, address, additions())
	for n := 2; n < 8; n += 2 {
		work(t, newest, n)
		work(t, older, n+1)
	}
}

func olderRefuses(t testing.TB, h SchemaHarness) {
	for _, changed := range stores {
		address := h.Fresh(t)
		next := newer(sqlstore.Migrations(), false, map[string]string{changed.domain: "ALTER TABLE " + changed.table + " ADD COLUMN must TEXT;"})
		third := newer(next, true, map[string]string{changed.domain: changed.later()})
		h.during(t, address, third, func(b storage.Backend) { work(t, b, 1) })
		h.during(t, address, nil, func(b storage.Backend) {
			for _, c := range changed.calls(t.Context(), b) {
				err := c.do()
				require.ErrorIs(t, err, storage.ErrNewer, c.op)
				require.ErrorContains(t, err, "_next.sql", "it says which migration")
			}
			for _, s := range stores {
				if s.domain != changed.domain {
					require.NoError(t, s.write(t.Context(), b, "1"), "the other stores go on")
				}
			}
		})
		h.during(t, address, next, func(b storage.Backend) { must(t, b, "2") })
	}
}

func otherMigrations(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	h.during(t, address, additions(), func(b storage.Backend) { work(t, b, 1) })
	b, err := h.Open(t, address, Crowded())
	if err == nil {
		closing(t, b)
	}
	require.ErrorIs(t, err, storage.ErrForeign)
	h.during(t, address, additions(), func(b storage.Backend) { work(t, b, 2) })
}
