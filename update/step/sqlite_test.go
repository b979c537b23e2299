package step_test

import (
	"bytes"
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// task is what a step gets for the run with this id.
func task(id, version string) *update.Task {
	return &update.Task{
		Run:     update.Run{ID: id, Package: "demo/site", From: "1.0.0", Version: version},
		Release: update.Release{Version: version},
	}
}

// dsn names a SQLite database, and what every connection to it begins with.
func dsn(path string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return u.String()
}

func openDB(t *testing.T, path string, pragmas ...string) *sql.DB {
	db, err := sql.Open("sqlite", dsn(path, pragmas...))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func execSQL(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := db.Exec(s)
		require.NoError(t, err, s)
	}
}

// values returns the first column of a query.
func values(t *testing.T, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var v string
		require.NoError(t, rows.Scan(&v))
		all = append(all, v)
	}
	require.NoError(t, rows.Err())
	return all
}

// many adds rows to the table page.
const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 200) INSERT INTO page (title) SELECT 'page ' || i || hex(randomblob(200)) FROM n"

// savedDatabase is a database, and what happens to it before and after it is saved.
type savedDatabase struct {
	name    string
	pragmas []string
	before  []string
	after   []string
}

func TestSQLiteRestoresWhatItSavedWhileOthersUseTheDatabase(t *testing.T) {
	t.Parallel()
	tests := []savedDatabase{
		{"write-ahead log, the database has grown", []string{"journal_mode(WAL)"}, nil, []string{many}},
		{"write-ahead log, the database has shrunk", []string{"journal_mode(WAL)"}, []string{many}, []string{"DELETE FROM page", "VACUUM"}},
		{"rollback journal, the database has grown", []string{"journal_mode(DELETE)"}, nil, []string{many}},
		{"rollback journal, the database has shrunk", []string{"journal_mode(DELETE)"}, []string{many}, []string{"DELETE FROM page", "VACUUM"}},
		{"pages move by themselves, the database has grown", []string{"auto_vacuum(FULL)", "journal_mode(WAL)"}, nil, []string{many}},
		{"pages move by themselves, the database has shrunk", []string{"auto_vacuum(FULL)", "journal_mode(WAL)"}, []string{many}, []string{"DELETE FROM page"}},
		{"small pages", []string{"page_size(512)", "journal_mode(WAL)"}, []string{many}, []string{"DELETE FROM page"}},
		{"another text encoding", []string{"encoding('UTF-16')", "journal_mode(WAL)"}, nil, []string{many}},
		{"a schema of the same age", []string{"journal_mode(WAL)"}, nil, []string{"DROP TABLE page", "CREATE TABLE page (other TEXT, title TEXT)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func (tt savedDatabase) run(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.db")
	db := openDB(t, path, append(tt.pragmas, "busy_timeout(180000)")...)
	other := openDB(t, path, "busy_timeout(180000)")
	execSQL(t, db, "CREATE TABLE page (title TEXT)", "CREATE INDEX page_title ON page (title)",
		"CREATE VIRTUAL TABLE words USING fts5(text)", "INSERT INTO words VALUES ('hello world')",
		"INSERT INTO page VALUES ('first')", "PRAGMA user_version = 7")
	execSQL(t, db, tt.before...)
	want := values(t, db, "SELECT title FROM page ORDER BY title")
	mode := values(t, db, "PRAGMA journal_mode")

	s, tk := step.SQLite{DB: db, Dir: filepath.Join(dir, "copies")}, task("run", "1.1.0")
	require.NoError(t, s.Check(t.Context()))
	name, err := s.Save(t.Context(), tk)
	require.NoError(t, err)

	// Connections that have seen the schema that is about to go.
	readers := make([]*sql.Conn, 3)
	for i := range readers {
		readers[i], err = other.Conn(t.Context())
		require.NoError(t, err)
		defer readers[i].Close()
	}
	execSQL(t, db, "INSERT INTO words VALUES ('late words')", "CREATE TABLE late (x)", "PRAGMA user_version = 8")
	execSQL(t, db, tt.after...)
	for _, c := range readers {
		values(t, c, "SELECT title FROM page")
		values(t, c, "SELECT x FROM late")
	}

	require.NoError(t, s.Restore(t.Context(), tk, name))
	for _, c := range readers {
		require.Equal(t, want, values(t, c, "SELECT title FROM page ORDER BY title"))
		_, err := c.ExecContext(t.Context(), "SELECT x FROM late")
		require.ErrorContains(t, err, "no such table")
	}
	require.Equal(t, []string{"ok"}, values(t, other, "PRAGMA integrity_check"))
	require.Equal(t, []string{"7"}, values(t, other, "PRAGMA user_version"))
	require.Equal(t, mode, values(t, openDB(t, path), "PRAGMA journal_mode"))
	require.Equal(t, []string{"hello world"}, values(t, db, "SELECT text FROM words WHERE words MATCH 'hello'"))

	stillWorks(t, db, other)
}

// stillWorks writes to a database by two connections, so that it grows and
// shrinks.
func stillWorks(t *testing.T, db, other *sql.DB) {
	t.Helper()
	execSQL(t, other, "INSERT INTO page (title) VALUES ('later')", many, "INSERT INTO words VALUES ('more')")
	execSQL(t, db, "DELETE FROM page WHERE title != 'later'", "VACUUM")
	require.Equal(t, []string{"ok"}, values(t, other, "PRAGMA integrity_check"))
	require.Equal(t, []string{"later"}, values(t, other, "SELECT title FROM page"))
}

// site is a database with one page, and where its copies go.
func site(t *testing.T) (*sql.DB, step.SQLite) {
	dir := t.TempDir()
	db := openDB(t, filepath.Join(dir, "site.db"), "journal_mode(WAL)", "busy_timeout(180000)")
	execSQL(t, db, "CREATE TABLE page (title TEXT)", "INSERT INTO page VALUES ('first')")
	return db, step.SQLite{DB: db, Dir: filepath.Join(dir, "state", "copies")}
}

func copies(t *testing.T, s step.SQLite) (names []string) {
	entries, err := os.ReadDir(s.Dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSQLiteSavesOneCopyForARun(t *testing.T) {
	db, s := site(t)
	first, err := s.Save(t.Context(), task("one", "1.1.0"))
	require.NoError(t, err)
	execSQL(t, db, "INSERT INTO page VALUES ('second')")
	again, err := s.Save(t.Context(), task("one", "1.1.0"))
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, []string{"first"}, values(t, openDB(t, filepath.Join(s.Dir, first)), "SELECT title FROM page"))

	next, err := s.Save(t.Context(), task("two", "1.1.0"))
	require.NoError(t, err)
	require.NotEqual(t, first, next)
	require.Equal(t, []string{"first", "second"}, values(t, openDB(t, filepath.Join(s.Dir, next)), "SELECT title FROM page"))
}

func TestSQLiteKeepsItsCopiesToItself(t *testing.T) {
	_, s := site(t)
	name, err := s.Save(t.Context(), task("one", "1.1.0"))
	require.NoError(t, err)
	for path, mode := range map[string]os.FileMode{s.Dir: 0o700, filepath.Join(s.Dir, name): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
}

func TestSQLiteKeepsTheNewestCopiesOfItsOwnDatabase(t *testing.T) {
	_, s := site(t)
	_, other := site(t) // another database of the same name
	other.Dir = s.Dir
	kept, err := other.Save(t.Context(), task("0", "1.0.0"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "site-notes.db"), nil, 0o600))

	var names []string
	for _, id := range []string{"a", "b", "c", "d"} {
		name, err := s.Save(t.Context(), task(id, "1.1.0"))
		require.NoError(t, err)
		names = append(names, name)
		if id == "a" { // what a dead process left
			require.NoError(t, os.WriteFile(filepath.Join(s.Dir, ".new-"+name+"-123"), nil, 0o600))
		}
		old := time.Now().Add(time.Duration(len(names)-10) * time.Minute)
		require.NoError(t, os.Chtimes(filepath.Join(s.Dir, name), old, old))
	}
	require.ElementsMatch(t, append(names[1:], kept, "site-notes.db"), copies(t, s))
}

func TestSQLiteSavesWhatARestoreReplaces(t *testing.T) {
	db, s := site(t)
	tk := task("one", "1.1.0")
	var out bytes.Buffer
	tk.Log = &out
	name, err := s.Save(t.Context(), tk)
	require.NoError(t, err)
	execSQL(t, db, "INSERT INTO page VALUES ('an order placed since')")
	require.NoError(t, s.Restore(t.Context(), tk, name))
	require.Equal(t, []string{"first"}, values(t, db, "SELECT title FROM page"))

	replaced := copies(t, s)[0]
	require.Contains(t, replaced, "-one-replaced-")
	require.Contains(t, out.String(), replaced)
	require.Equal(t, []string{"first", "an order placed since"},
		values(t, openDB(t, filepath.Join(s.Dir, replaced)), "SELECT title FROM page"))
}

func TestSQLiteLetsReadersFinishWhatTheyRead(t *testing.T) {
	db, s := site(t)
	tk := task("one", "1.1.0")
	name, err := s.Save(t.Context(), tk)
	require.NoError(t, err)
	execSQL(t, db, "INSERT INTO page VALUES ('second')")
	tx, err := db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	require.Len(t, values(t, tx, "SELECT title FROM page"), 2)
	require.NoError(t, s.Restore(t.Context(), tk, name))
	require.Len(t, values(t, tx, "SELECT title FROM page"), 2, "a transaction sees one content")
	require.NoError(t, tx.Rollback())
	require.Len(t, values(t, db, "SELECT title FROM page"), 1)
}

func TestSQLiteRestoresTheFileItself(t *testing.T) {
	db, s := site(t)
	tk := task("one", "1.1.0")
	name, err := s.Save(t.Context(), tk)
	require.NoError(t, err)
	execSQL(t, db, "CREATE TABLE more (x)", "INSERT INTO more VALUES (zeroblob(100000))")
	require.NoError(t, s.Restore(t.Context(), tk, name))
	require.NoError(t, db.Close()) // the last one moves the log into the file

	path := filepath.Join(filepath.Dir(filepath.Dir(s.Dir)), "site.db")
	restored, err := os.Stat(path)
	require.NoError(t, err)
	saved, err := os.Stat(filepath.Join(s.Dir, name))
	require.NoError(t, err)
	require.Equal(t, saved.Size(), restored.Size())
	require.Equal(t, []string{"wal"}, values(t, openDB(t, path), "PRAGMA journal_mode"))
}

func TestSQLiteRefusesToRestoreWhatWouldDoHarm(t *testing.T) {
	tests := []struct {
		name    string
		spoil   func(t *testing.T, path string)
		message string
	}{
		{"a copy that is gone", func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, "no such file"},
		{"a damaged copy", func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), 4096)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}, "integrity check"},
		{"a copy cut short", func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 6000)) }, "integrity check"},
		{"something else", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("not a database, but long enough to have a header"), 0o600))
		}, "not a database"},
		{"pages of another size", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			execSQL(t, openDB(t, path, "page_size(8192)"), "CREATE TABLE page (title TEXT)")
		}, "pages of another size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, s := site(t)
			tk := task("one", "1.1.0")
			name, err := s.Save(t.Context(), tk)
			require.NoError(t, err)
			tt.spoil(t, filepath.Join(s.Dir, name))
			execSQL(t, db, "INSERT INTO page VALUES ('second')")
			require.ErrorContains(t, s.Restore(t.Context(), tk, name), tt.message)
			require.Equal(t, []string{"first", "second"}, values(t, db, "SELECT title FROM page"))
			require.Equal(t, []string{"ok"}, values(t, db, "PRAGMA integrity_check"))
		})
	}
}

func TestSQLiteFindsOutBeforehandWhatItCannotDo(t *testing.T) {
	db, s := site(t)
	require.NoError(t, s.Check(t.Context()))
	require.NoDirExists(t, s.Dir, "a check changes nothing")

	execSQL(t, db, "CREATE TABLE upkeep_update_run (id TEXT)")
	require.ErrorContains(t, s.Check(t.Context()), `holds "upkeep_update_run"`)
	require.NoError(t, step.BackupSQLite(s).Check(t.Context(), task("one", "1.1.0")), "a copy alone does no harm")

	memory, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	defer memory.Close()
	require.ErrorContains(t, step.SQLite{DB: memory, Dir: s.Dir}.Check(t.Context()), "in memory")
	require.ErrorContains(t, step.SQLite{DB: db}.Check(t.Context()), "needs a DB and a Dir")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, step.SQLite{DB: db, Dir: filepath.Join(file, "copies")}.Check(t.Context()))
}

func TestBackupSQLiteKnowsAfterACrashWhetherItIsDone(t *testing.T) {
	db, s := site(t)
	backup, tk := step.BackupSQLite(s), task("one", "1.1.0")
	var out bytes.Buffer
	tk.Log = &out
	applied, err := backup.Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedNo, applied)
	require.NoError(t, backup.Do(t.Context(), tk))
	require.Contains(t, out.String(), copies(t, s)[0])
	applied, err = backup.Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedYes, applied)
	applied, err = backup.Probe(t.Context(), task("another", "1.1.0"))
	require.NoError(t, err)
	require.Equal(t, update.AppliedNo, applied)
	require.NoError(t, db.Close())
	_, err = backup.Probe(t.Context(), tk)
	require.Error(t, err, "a probe that cannot look does not guess")
}
