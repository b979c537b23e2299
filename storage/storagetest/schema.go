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
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
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

func additions() fs.FS {
	return newer(sqlstore.Migrations(), true, map[string]string{
		"lease": notes("upkeep_lease", "item"), "update": notes("upkeep_update_run", "id"), "lv": notes("upkeep_lv_row", "name"),
	})
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

// work uses every store, and checks that it goes on from where others were: n
// counts the calls on a database.
func work(t testing.TB, b storage.Backend, n int) {
	t.Helper()
	workUnwatched(t, b, n)
	require.EqualValues(t, 2*n, firstEvents(t, b, 2*n)[2*n-1].Seq)
}

func workUnwatched(t testing.TB, b storage.Backend, n int) {
	t.Helper()
	ctx := t.Context()
	held, err := b.Locker().Acquire(ctx, "core", "me", time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, n, held.Token)
	require.NoError(t, b.Locker().Release(ctx, held))

	run, err := b.Journal().Create(ctx, aRun(fmt.Sprint("run ", n)), update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	run.State = update.StateSucceeded
	_, err = b.Journal().Save(ctx, run, update.Event{Kind: update.EventStep, Step: "publish"})
	require.NoError(t, err)
	require.Len(t, all(t, b.Journal().History(ctx, update.Query{})), n)

	saved, err := b.Versions().Write(ctx, pages, saving(fmt.Sprint("row ", n), n), ann)
	require.NoError(t, err)
	_, err = b.Versions().PutRelease(ctx, pages, releasing(saved[0]), ann)
	require.NoError(t, err)
	_, err = b.Versions().PutStrategy(ctx, pages, showing(saved[0]), ann)
	require.NoError(t, err)
	require.Len(t, all(t, b.Versions().Rows(ctx, pages, lv.View{})), n)
	require.Len(t, all(t, b.Versions().Versions(ctx, pages, lv.Query{})), n)
}

func tablesOfUse(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	b := h.open(t, address, nil)
	has := func(what string, prefixes ...string) {
		t.Helper()
		for _, table := range h.Tables(t, address) {
			of := func(p string) bool { return strings.HasPrefix(table, p) }
			require.True(t, slices.ContainsFunc(prefixes, of), "%s makes %s", what, table)
		}
	}
	has("opening", "upkeep_schema", "upkeep_history")
	_, err := b.Locker().Holder(t.Context(), "core")
	require.ErrorIs(t, err, lease.ErrFree)
	has("the Locker", "upkeep_schema", "upkeep_history", "upkeep_lease")
	require.Contains(t, h.Tables(t, address), "upkeep_lease")
	require.Empty(t, all(t, b.Versions().Rows(t.Context(), pages, lv.View{})))
	has("the VersionStore", "upkeep_schema", "upkeep_history", "upkeep_lease", "upkeep_lv_")
	_, err = b.Journal().Get(t.Context(), "none")
	require.ErrorIs(t, err, update.ErrNotFound)
	has("the Journal", "upkeep_schema", "upkeep_history", "upkeep_lease", "upkeep_lv_", "upkeep_update_")
}

func firstUsesAtOnce(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	var calls sync.WaitGroup
	for range 3 {
		b := h.open(t, address, additions())
		for i := range 4 {
			calls.Go(func() {
				_, err := b.Locker().Holder(t.Context(), "core")
				assert.ErrorIs(t, err, lease.ErrFree)
			})
			calls.Go(func() {
				_, err := b.Journal().Create(t.Context(), aRun(fmt.Sprintf("%p %d", b, i)))
				assert.NoError(t, err)
			})
			calls.Go(func() {
				_, err := b.Versions().Write(t.Context(), pages, saving(fmt.Sprintf("%p %d", b, i), 1), ann)
				assert.NoError(t, err)
			})
		}
	}
	calls.Wait()
}

func firstUseAgain(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	broken := newer(sqlstore.Migrations(), true, map[string]string{"update": "ALTER TABLE upkeep_update_none ADD COLUMN id TEXT;"})
	h.during(t, address, broken, func(b storage.Backend) {
		ended, end := context.WithCancel(t.Context())
		end()
		_, err := b.Locker().Holder(ended, "core")
		require.ErrorIs(t, err, context.Canceled)
		_, err = b.Locker().Holder(t.Context(), "core")
		require.ErrorIs(t, err, lease.ErrFree)
		for range 2 {
			_, err = b.Journal().Get(t.Context(), "none")
			require.Error(t, err)
			require.NotErrorIs(t, err, update.ErrNotFound)
		}
		_, err = b.Versions().Write(t.Context(), pages, saving("a", 1), ann)
		require.NoError(t, err, "the other stores go on")
	})
	h.during(t, address, nil, func(b storage.Backend) {
		_, err := b.Journal().Create(t.Context(), aRun("1"))
		require.NoError(t, err)
	})
}

func olderGoesOn(t testing.TB, h SchemaHarness) {
	address := h.Fresh(t)
	next := additions()
	third := newer(next, true, map[string]string{"update": notes("upkeep_update_step", "run")})
	h.during(t, address, nil, func(b storage.Backend) { work(t, b, 1) })
	h.during(t, address, next, func(b storage.Backend) { work(t, b, 2) })
	require.Subset(t, h.Tables(t, address), []string{"upkeep_lease_note", "upkeep_update_run_note", "upkeep_lv_row_note"})
	h.during(t, address, nil, func(b storage.Backend) { work(t, b, 3) })
	h.during(t, address, third, func(b storage.Backend) { work(t, b, 4) })
	require.Contains(t, h.Tables(t, address), "upkeep_update_step_note")
	h.during(t, address, nil, func(b storage.Backend) { work(t, b, 5) })
	h.during(t, address, next, func(b storage.Backend) { work(t, b, 6) })
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
	address, ctx := h.Fresh(t), t.Context()
	changed := newer(sqlstore.Migrations(), false, map[string]string{"update": "ALTER TABLE upkeep_update_run ADD COLUMN must TEXT;"})
	later := newer(changed, true, map[string]string{"update": "CREATE TABLE upkeep_update_later (id {int} PRIMARY KEY) {end};"})
	h.during(t, address, later, func(b storage.Backend) { work(t, b, 1) })
	h.during(t, address, nil, func(b storage.Backend) {
		j := b.Journal()
		_, create := j.Create(ctx, aRun("2"))
		_, save := j.Save(ctx, aRun("1"))
		_, get := j.Get(ctx, "1")
		for op, err := range map[string]error{"Create": create, "Save": save, "Get": get} {
			require.ErrorIs(t, err, storage.ErrNewer, op)
			require.ErrorContains(t, err, "_next.sql", "it says which migration")
		}
		for _, err := range j.History(ctx, update.Query{}) {
			require.ErrorIs(t, err, storage.ErrNewer)
		}
		for _, err := range j.Watch(ctx, 0) {
			require.ErrorIs(t, err, storage.ErrNewer)
		}
		_, err := b.Locker().Acquire(ctx, "core", "me", time.Hour)
		require.NoError(t, err, "the other stores go on")
		_, err = b.Versions().Write(ctx, pages, saving("b", 1), ann)
		require.NoError(t, err, "the other stores go on")
	})
	h.during(t, address, changed, func(b storage.Backend) {
		_, err := b.Journal().Create(ctx, aRun("2"))
		require.NoError(t, err)
	})
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
