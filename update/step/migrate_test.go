package step_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// newUpdater returns an Updater of one package, demo/site, with versions
// 1.0.0, 1.1.0 and 1.2.0-rc.1.
func newUpdater(t *testing.T, steps ...update.Step) *update.Updater {
	state := memory.New()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: source.Static("1.0.0", "1.1.0", "1.2.0-rc.1"), Steps: steps},
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, u.Close())
		require.NoError(t, state.Close())
	})
	return u
}

func install(ctx context.Context, u *update.Updater, version string) (update.Run, error) {
	return u.Update(ctx, update.Request{Package: "demo/site", Version: version})
}

// files is a tree of files by their names.
func files(content map[string]string) fs.FS {
	tree := fstest.MapFS{}
	for name, text := range content {
		tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o444}
	}
	return tree
}

// fixed is the Tree that has the same files for every release.
func fixed(content map[string]string) step.Tree {
	return func(update.Release) (fs.FS, error) { return files(content), nil }
}

var (
	first  = "CREATE TABLE news (title TEXT);\nINSERT INTO news VALUES ('hello');"
	second = "ALTER TABLE news ADD COLUMN body TEXT;\nUPDATE news SET body = 'world';"
	broken = "CREATE TABLE half (x);\nINSERT INTO nowhere VALUES (1);"
)

var releases = files(map[string]string{
	"1.0.0/sql/0001_news.sql":        first,
	"1.0.0/sql/README":               "other files are left alone",
	"1.1.0/sql/0001_news.sql":        first,
	"1.1.0/sql/0002_body.sql":        second,
	"1.2.0-rc.1/sql/0001_news.sql":   first,
	"1.2.0-rc.1/sql/0002_body.sql":   second,
	"1.2.0-rc.1/sql/0003_more.sql":   "CREATE TABLE more (x);",
	"1.2.0-rc.1/sql/0004_broken.sql": broken,
})

func tables(t *testing.T, db *sql.DB) []string {
	return values(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'upkeep_%' ORDER BY name")
}

func recorded(t *testing.T, db *sql.DB) []string {
	return values(t, db, "SELECT name FROM upkeep_step_migration ORDER BY name")
}

func TestMigrateSQLBringsADatabaseToARelease(t *testing.T) {
	db, _ := site(t)
	u := newUpdater(t, step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql")}))
	_, err := install(t.Context(), u, "1.0.0")
	require.NoError(t, err)
	require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))
	require.Equal(t, []string{"hello"}, values(t, db, "SELECT title FROM news"))

	_, err = install(t.Context(), u, "1.1.0")
	require.NoError(t, err)
	require.Equal(t, []string{"0001_news.sql", "0002_body.sql"}, recorded(t, db))
	require.Equal(t, []string{"world"}, values(t, db, "SELECT body FROM news"))

	// The row says what and when.
	var checksum string
	var applied int64
	require.NoError(t, db.QueryRow("SELECT checksum, applied_ms FROM upkeep_step_migration").Scan(&checksum, &applied))
	require.Len(t, checksum, 64)
	require.Greater(t, applied, int64(1_700_000_000_000))
}

func TestMigrateSQLRunsAllFilesOnTheWayToALaterRelease(t *testing.T) {
	db, _ := site(t)
	u := newUpdater(t, step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql")}))
	_, err := install(t.Context(), u, "1.1.0")
	require.NoError(t, err)
	require.Equal(t, []string{"0001_news.sql", "0002_body.sql"}, recorded(t, db))
}

func TestMigrateSQLWithABackupTakesAFailedReleaseBack(t *testing.T) {
	db, s := site(t)
	u := newUpdater(t,
		step.BackupSQLite(s),
		step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: s}),
	)
	_, err := install(t.Context(), u, "1.1.0")
	require.NoError(t, err)
	require.Len(t, copies(t, s), 1, "one copy serves both steps")

	run, err := install(t.Context(), u, "1.2.0-rc.1")
	require.ErrorContains(t, err, "running 0004_broken.sql: ")
	require.Equal(t, update.StateRolledBack, run.State)
	require.Equal(t, []string{"news", "page"}, tables(t, db))
	require.Equal(t, []string{"0001_news.sql", "0002_body.sql"}, recorded(t, db))
	require.Equal(t, []string{"world"}, values(t, db, "SELECT body FROM news"))
}

func TestMigrateSQLWithoutABackupLeavesWholeFiles(t *testing.T) {
	db, _ := site(t)
	u := newUpdater(t, step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql")}))
	_, err := install(t.Context(), u, "1.2.0-rc.1")
	require.ErrorContains(t, err, "running 0004_broken.sql: ")
	require.Equal(t, []string{"more", "news", "page"}, tables(t, db), "the broken file left nothing")
	require.Equal(t, []string{"0001_news.sql", "0002_body.sql", "0003_more.sql"}, recorded(t, db))
}

func TestMigrateSQLIsTakenBackByARollback(t *testing.T) {
	db, s := site(t)
	u := newUpdater(t, step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: s}))
	_, err := install(t.Context(), u, "1.0.0")
	require.NoError(t, err)
	run, err := install(t.Context(), u, "1.1.0")
	require.NoError(t, err)
	back, err := u.Rollback(t.Context(), run.ID, update.By{})
	require.NoError(t, err)
	_, err = u.Wait(t.Context(), back.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))
	require.Equal(t, []string{"title"}, values(t, db, "SELECT name FROM pragma_table_info('news')"))

	_, err = install(t.Context(), u, "1.1.0")
	require.NoError(t, err, "and may be done again")
	require.Equal(t, []string{"0001_news.sql", "0002_body.sql"}, recorded(t, db))
}

func TestMigrateSQLUndoesOnlyWhatItDid(t *testing.T) {
	db, s := site(t)
	migrate := step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: s})
	tk := task("one", "1.1.0")
	require.NoError(t, migrate.Undo(t.Context(), tk), "nothing was done yet")
	require.NoError(t, migrate.Do(t.Context(), tk))
	require.NoError(t, migrate.Undo(t.Context(), tk))
	require.Equal(t, []string{"page"}, tables(t, db))

	execSQL(t, db, "INSERT INTO page VALUES ('written after the undo')")
	require.NoError(t, migrate.Undo(t.Context(), tk), "an undo may be run twice")
	require.Equal(t, []string{"first", "written after the undo"}, values(t, db, "SELECT title FROM page"))

	// A release that changes nothing takes nothing back.
	require.NoError(t, migrate.Do(t.Context(), task("two", "1.1.0")))
	same := task("three", "1.1.0")
	require.NoError(t, migrate.Do(t.Context(), same))
	execSQL(t, db, "INSERT INTO page VALUES ('written after the update')")
	require.NoError(t, migrate.Undo(t.Context(), same))
	require.Contains(t, values(t, db, "SELECT title FROM page"), "written after the update")
}

func TestMigrateSQLDoesNotUndoPastALaterMigration(t *testing.T) {
	db, s := site(t)
	migrate := step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: s})
	early := task("one", "1.0.0")
	require.NoError(t, migrate.Do(t.Context(), early))
	require.NoError(t, migrate.Do(t.Context(), task("two", "1.1.0")))
	require.ErrorContains(t, migrate.Undo(t.Context(), early), "0002_body.sql was applied after 0001_news.sql")
	require.Equal(t, []string{"world"}, values(t, db, "SELECT body FROM news"))
}

func TestMigrateSQLKnowsAfterACrashHowFarItGot(t *testing.T) {
	db, s := site(t)
	content := map[string]string{"0001_news.sql": first}
	migrate := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(content), Backup: s})
	probe := func(tk *update.Task) update.Applied {
		applied, err := migrate.Probe(t.Context(), tk)
		require.NoError(t, err)
		return applied
	}
	require.Equal(t, update.AppliedNo, probe(task("zero", "1.0.0")))
	require.NoError(t, migrate.Do(t.Context(), task("one", "1.0.0")))
	require.Equal(t, update.AppliedYes, probe(task("one", "1.0.0")))

	content["0002_body.sql"], content["0003_broken.sql"] = second, broken
	tk := task("two", "1.1.0")
	require.Equal(t, update.AppliedNo, probe(tk))
	require.Error(t, migrate.Do(t.Context(), tk))
	require.Equal(t, update.AppliedUnknown, probe(tk), "the second file is there, the third is not")

	content["0003_broken.sql"] = "CREATE TABLE mended (x)"
	require.NoError(t, migrate.Do(t.Context(), tk), "another try goes on from there")
	require.Equal(t, update.AppliedYes, probe(tk))
	require.NoError(t, migrate.Undo(t.Context(), tk))
	require.Equal(t, []string{"0001_news.sql"}, recorded(t, db), "the copy is that of the first try")
}

func TestMigrateSQLFindsOutBeforehandWhatItCannotDo(t *testing.T) {
	applied := map[string]string{"0001_news.sql": first, "0002_body.sql": second}
	tests := []struct {
		name, message string
		files         map[string]string
	}{
		{"a file changed after it was applied", "0002_body.sql was changed", map[string]string{"0001_news.sql": first, "0002_body.sql": second + "\n-- harmless?"}},
		{"a file that comes before an applied one", "0000_early.sql comes before 0002_body.sql", map[string]string{"0000_early.sql": "SELECT 1", "0001_news.sql": first, "0002_body.sql": second}},
		{"a release older than the database", "the database has 0002_body.sql, which release 1.1.0 lacks", map[string]string{"0001_news.sql": first}},
		{"a name without a number", `"next.sql" is not named like`, map[string]string{"next.sql": "SELECT 1"}},
		{"a number with three digits", `"003_next.sql" is not named like`, map[string]string{"003_next.sql": "SELECT 1"}},
		{"a name with a quote", "is not named like", map[string]string{"0003_it's.sql": "SELECT 1"}},
		{"one number twice", "have the same number", map[string]string{"0003_a.sql": "SELECT 1", "0003_b.sql": "SELECT 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, _ := site(t)
			require.NoError(t, step.MigrateSQL(step.Migrations{DB: db, Files: fixed(applied)}).Do(t.Context(), task("one", "1.1.0")))
			migrate := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(tt.files)})
			require.ErrorContains(t, migrate.Check(t.Context(), task("two", "1.1.0")), tt.message)
			require.ErrorContains(t, migrate.Do(t.Context(), task("two", "1.1.0")), tt.message)
			require.Equal(t, []string{"0001_news.sql", "0002_body.sql"}, recorded(t, db))
		})
	}
}

func TestMigrateSQLCheckChangesNothing(t *testing.T) {
	db, s := site(t)
	m := step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: s}
	require.NoError(t, step.MigrateSQL(m).Check(t.Context(), task("one", "1.1.0")))
	require.Empty(t, values(t, db, "SELECT name FROM sqlite_schema WHERE name LIKE 'upkeep_%'"))

	require.ErrorContains(t, step.MigrateSQL(m).Check(t.Context(), task("one", "3.0.0")), `release "3.0.0"`)
	m.Files = func(update.Release) (fs.FS, error) { return nil, errors.New("no such release") }
	require.ErrorContains(t, step.MigrateSQL(m).Check(t.Context(), task("one", "1.1.0")), "no such release")
	require.ErrorContains(t, step.MigrateSQL(step.Migrations{}).Check(t.Context(), task("one", "1.1.0")), "needs a DB and Files")
	m = step.Migrations{DB: db, Files: step.Sub(releases, "{version}/sql"), Backup: step.SQLite{DB: db}}
	require.ErrorContains(t, step.MigrateSQL(m).Check(t.Context(), task("one", "1.1.0")), "needs a DB and a Dir")
	require.NoError(t, db.Close())
	require.ErrorContains(t, step.MigrateSQL(m).Check(t.Context(), task("one", "1.1.0")), "reaching the database")
}

func TestMigrateSQLTakesATriggerAndForeignLineEnds(t *testing.T) {
	db, _ := site(t)
	trigger := "CREATE TABLE seen (title TEXT);\nCREATE TRIGGER page_seen AFTER INSERT ON page\nBEGIN\n  INSERT INTO seen VALUES (new.title);\nEND;\n"
	require.NoError(t, step.MigrateSQL(step.Migrations{DB: db, Files: fixed(map[string]string{"0001_seen.sql": trigger})}).Do(t.Context(), task("one", "1.0.0")))
	execSQL(t, db, "INSERT INTO page VALUES ('second')")
	require.Equal(t, []string{"second"}, values(t, db, "SELECT title FROM seen"))

	crlf := fixed(map[string]string{"0001_seen.sql": strings.ReplaceAll(trigger, "\n", "\r\n")})
	require.NoError(t, step.MigrateSQL(step.Migrations{DB: db, Files: crlf}).Do(t.Context(), task("two", "1.0.0")))
}

func TestSubFindsTheFolderOfARelease(t *testing.T) {
	tree, err := step.Sub(releases, "{version}/sql")(update.Release{Version: "1.0.0"})
	require.NoError(t, err)
	names, err := fs.Glob(tree, "*")
	require.NoError(t, err)
	require.Equal(t, []string{"0001_news.sql", "README"}, names)

	for version, message := range map[string]string{
		"2.0.0":    "file does not exist",
		"../1.0.0": "cannot name a folder",
		`..\1.0.0`: "cannot name a folder",
	} {
		_, err := step.Sub(releases, "{version}/sql")(update.Release{Version: version})
		require.ErrorContains(t, err, message, version)
	}
	_, err = step.Sub(releases, "1.0.0/sql/README")(update.Release{})
	require.ErrorContains(t, err, "is not a folder")
}
