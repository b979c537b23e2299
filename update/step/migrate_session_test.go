package step_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMigrateSQLLeavesNothingOfAFilesSessionBehind(t *testing.T) {
	tests := []struct{ name, file, query, want string }{
		{"a database that is read only", "PRAGMA query_only = ON;", "PRAGMA query_only", "0"},
		{"how LIKE compares", "PRAGMA case_sensitive_like = ON;", "SELECT 'a' LIKE 'A'", "1"},
		{"constraints that are not checked", "PRAGMA ignore_check_constraints = ON;", "PRAGMA ignore_check_constraints", "0"},
		{"a schema that can be written", "PRAGMA writable_schema = ON;", "PRAGMA writable_schema", "0"},
		{"triggers that trigger", "PRAGMA recursive_triggers = ON;", "PRAGMA recursive_triggers", "0"},
		{"foreign keys", "PRAGMA foreign_keys = ON;", "PRAGMA foreign_keys", "0"},
		{"a temporary table", "CREATE TEMP TABLE page (title); INSERT INTO page VALUES ('shadow'); CREATE TEMP TABLE upkeep_step_migration (x);", "SELECT title FROM page", "first"},
		{"a savepoint that is open", "SAVEPOINT open;", "SELECT title FROM page", "first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, _ := site(t)
			db.SetMaxOpenConns(1)
			m := migrate(db, map[string]string{
				"0001_a.sql": tt.file, "0002_b.sql": "CREATE TABLE seen (title TEXT); INSERT INTO seen SELECT title FROM page;",
			})
			require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
			require.Equal(t, []string{"0001_a.sql", "0002_b.sql"}, recorded(t, db))
			require.Equal(t, []string{tt.want}, values(t, db, tt.query))
			require.Equal(t, []string{"first"}, values(t, db, "SELECT title FROM seen"))
			execSQL(t, db, "INSERT INTO page VALUES ('second')")

			require.Error(t, migrate(db, map[string]string{
				"0001_a.sql": tt.file, "0002_b.sql": "CREATE TABLE seen (title TEXT); INSERT INTO seen SELECT title FROM page;",
				"0003_c.sql": tt.file + "INSERT INTO nowhere VALUES (1);",
			}).Do(t.Context(), task("two", "1.0.0")), "a file that fails leaves nothing either")
			require.Equal(t, tt.want, values(t, db, tt.query)[0])
		})
	}
}

func TestMigrateSQLKeepsADatabaseInMemory(t *testing.T) {
	shared := "file:" + filepath.Base(t.TempDir()) + t.Name()
	for name, source := range map[string]string{
		"its own":         ":memory:",
		"with settings":   "file::memory:?_pragma=foreign_keys(1)",
		"with a name":     shared + "?mode=memory&cache=shared",
		"of memdb":        "file:/" + t.Name() + "?vfs=memdb",
		"a nameless file": "",
	} {
		t.Run(name, func(t *testing.T) {
			db, err := sql.Open("sqlite", source)
			require.NoError(t, err)
			defer db.Close()
			db.SetMaxOpenConns(1)
			keys := values(t, db, "PRAGMA foreign_keys")
			execSQL(t, db, "CREATE TABLE page (title TEXT)", "INSERT INTO page VALUES ('first')")
			content := map[string]string{"0001_news.sql": first, "0002_keys.sql": "PRAGMA foreign_keys=OFF; CREATE TABLE a (x); PRAGMA query_only = ON;"}
			m := migrate(db, content)
			require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
			require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
			require.Equal(t, keys, values(t, db, "PRAGMA foreign_keys"))
			content["0003_broken.sql"] = broken
			require.Error(t, m.Do(t.Context(), task("two", "1.0.0")))
			content["0003_broken.sql"] = "-- upkeep: no transaction\nCREATE TABLE b (x); VACUUM;"
			require.NoError(t, m.Do(t.Context(), task("three", "1.0.0")))
			require.Equal(t, []string{"first"}, values(t, db, "SELECT title FROM page"))
			require.Equal(t, []string{"hello"}, values(t, db, "SELECT title FROM news"))
			require.Equal(t, []string{"a", "b", "news", "page"}, tables(t, db))
			require.Len(t, recorded(t, db), 3)
			execSQL(t, db, "INSERT INTO page VALUES ('second')")
		})
	}
	_, err := os.Stat(shared)
	require.ErrorIs(t, err, os.ErrNotExist)
}
