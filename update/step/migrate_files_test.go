package step_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestMigrateSQLRefusesNamesThatLookMisspelt(t *testing.T) {
	for _, name := range []string{
		"0002_b.SQL", "0002_b.Sql", "2_b.sql", "00002_b.sql", "0002-b.sql", "0002b.sql", "0002_.sql", "0002.sql", "V2__b.sql",
		"0002_b .sql", "0002_b.sql ", " 0002_b.sql", "0002_b.up.sql", "0002_ä.sql", "._0002_b.sql", ".sql", "20260102030405_b.sql",
	} {
		db, _ := site(t)
		m := migrate(db, map[string]string{"0001_news.sql": first, name: "CREATE TABLE b (x);"})
		require.ErrorContains(t, m.Check(t.Context(), task("one", "1.0.0")), "is not named like 0001_name.sql", name)
		require.ErrorContains(t, m.Do(t.Context(), task("one", "1.0.0")), "is not named like 0001_name.sql", name)
		require.Equal(t, []string{"page"}, tables(t, db))
	}
	for _, name := range []string{"v2/0002_b.sql", "v2/deeper/0002_b.SQL", "v2/b.sql", "0002_b.sql/README", ".hidden/x.sql"} {
		db, _ := site(t)
		m := migrate(db, map[string]string{"0001_news.sql": first, name: "CREATE TABLE b (x);"})
		require.ErrorContains(t, m.Check(t.Context(), task("one", "1.0.0")), "in a folder", name)
		require.ErrorContains(t, m.Do(t.Context(), task("one", "1.0.0")), "in a folder", name)
		require.Equal(t, []string{"page"}, tables(t, db))
	}
}

func TestMigrateSQLLeavesOtherFilesAlone(t *testing.T) {
	db, _ := site(t)
	m := migrate(db, map[string]string{
		"0001_news.sql": first, "README": "x", "0002_b.sql.txt": "x", "0002_b.sql~": "x", ".0002_b.sql.swp": "x", "atlas.sum": "x",
		"meta/_journal.json": "{}", "meta/deeper/0002_snapshot.json": "{}", "sql": "x", "0002_b.psql": "x",
	})
	require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
	require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
	require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))
}

func TestMigrateSQLDoesNotTakeAByteOrderMarkForContent(t *testing.T) {
	for _, text := range []string{first, "-- upkeep: no transaction\n" + first} {
		db, _ := site(t)
		require.NoError(t, migrate(db, map[string]string{"0001_news.sql": "\ufeff" + text}).Do(t.Context(), task("one", "1.0.0")))
		require.NoError(t, migrate(db, map[string]string{"0001_news.sql": text}).Do(t.Context(), task("two", "1.0.0")), "nor for a change")
		require.Equal(t, []string{"hello"}, values(t, db, "SELECT title FROM news"))
	}
}

func TestMigrateSQLRefusesWhatIsNotUTF8(t *testing.T) {
	for name, tt := range map[string][2]string{
		"UTF-16, little end first": {"\xff\xfeC\x00R\x00", "is in UTF-16"},
		"UTF-16, big end first":    {"\xfe\xff\x00C\x00R", "is in UTF-16"},
		"UTF-16 without a mark":    {"C\x00R\x00E\x00", "not text in UTF-8: line 1"},
		"UTF-32":                   {"\x00\x00\xfe\xff\x00\x00\x00C", "not text in UTF-8: line 1"},
		"a zero byte":              {"CREATE TABLE a (x);\n\x00CREATE TABLE b (x);", "not text in UTF-8: line 2"},
		"Latin-1":                  {"SELECT 1;\n-- \xe4\n", "not text in UTF-8: line 2"},
		"half a character":         {"CREATE TABLE a (x); -- \xc3", "not text in UTF-8: line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := site(t)
			m := migrate(db, map[string]string{"0001_a.sql": tt[0]})
			require.ErrorContains(t, m.Check(t.Context(), task("one", "1.0.0")), tt[1])
			require.ErrorContains(t, m.Do(t.Context(), task("one", "1.0.0")), tt[1])
			require.Equal(t, []string{"page"}, tables(t, db))
		})
	}
}

func TestMigrateSQLRefusesWhatCannotRunInATransaction(t *testing.T) {
	t.Parallel()
	const way = `begin the file with the line "-- upkeep: no transaction"`
	tests := []struct{ text, message string }{
		{"VACUUM;", "0001_a.sql: line 1: VACUUM cannot run in a transaction: " + way},
		{"SELECT 1;\n/* tidy\n */ vacuum INTO 'x'", "line 3: VACUUM cannot run in a transaction: " + way},
		{"ATTACH 'x' AS y;", "ATTACH cannot run"},
		{"DETACH DATABASE y;", "DETACH cannot run"},
		{"SELECT 1;\n\nPRAGMA journal_mode = WAL;", "line 3: PRAGMA journal_mode cannot run in a transaction: " + way},
		{"PRAGMA main.'Journal_Mode'(wal)", "PRAGMA journal_mode cannot"},
		{"PRAGMA page_size=512", "PRAGMA page_size cannot"},
		{"PRAGMA auto_vacuum = 1", "PRAGMA auto_vacuum cannot"},
		{"PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint cannot"},
		{"PRAGMA synchronous = OFF", "PRAGMA synchronous has no effect in a migration"},
		{"PRAGMA encoding = 'UTF-16'", "PRAGMA encoding has no effect in a migration"},
		{"BEGIN; SELECT 1; COMMIT;", "line 1: BEGIN: the step begins and ends transactions itself"},
		{"SELECT 1; END", "END: the step"},
		{"ROLLBACK TRANSACTION", "ROLLBACK: the step"},
		{"SELECT 'it''s;", "line 1: ' is never closed"},
		{"SELECT 1;\nSELECT 2 /* ;", "line 2: /* is never closed"},
		{"SELECT [a", "[ is never closed"},
		{"SELECT 1;\n-- upkeep: no transaction\nVACUUM;", `line 2: "-- upkeep: no transaction" must be the first line`},
		{"-- upkeep: no transactions\nVACUUM;", `there is no "-- upkeep: no transactions", only`},
		{"-- upkeep: repeatable\nVACUUM;", `is for files that begin with`},
		{"-- upkeep: no transaction\nPRAGMA synchronous = OFF", "PRAGMA synchronous has no effect in a migration"},
		{"-- upkeep: no transaction\nPRAGMA foreign_keys = OFF", "PRAGMA foreign_keys is for files that run in a transaction"},
		{"-- upkeep: no transaction\nCREATE TABLE b (x); COMMIT;", "COMMIT: the step"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			db, _ := site(t)
			m := migrate(db, map[string]string{"0001_a.sql": tt.text})
			require.ErrorContains(t, m.Check(t.Context(), task("one", "1.0.0")), tt.message)
			require.ErrorContains(t, m.Do(t.Context(), task("one", "1.0.0")), tt.message)
			require.Equal(t, []string{"page"}, tables(t, db))
			require.Equal(t, []string{"wal"}, values(t, db, "PRAGMA journal_mode"))
		})
	}
	db, _ := site(t)
	m := migrate(db, map[string]string{"0001_a.sql": `PRAGMA journal_mode; PRAGMA user_version = 7; PRAGMA application_id = 8; PRAGMA foreign_keys;
		PRAGMA table_info(page); PRAGMA integrity_check; PRAGMA cache_size = 9; PRAGMA optimize; ANALYZE; REINDEX;`})
	require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
	require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
	require.Equal(t, []string{"7"}, values(t, db, "PRAGMA user_version"))
}

func TestMigrateSQLRefusesWhatTakesAFileBackInOtherTools(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"-- +goose Down", "--+goose down", "-- +migrate Down", "-- migrate:down", "-- migrate:down transaction:false", "-- +micrate Down",
		"-- rambler down", "---- create above / drop below ----", "-- //@UNDO", "--//@undo\r", "-- Down", "-- ==== DOWN ====", "-- !Downs", "  -- down",
	} {
		t.Run(line, func(t *testing.T) {
			db, _ := site(t)
			content := map[string]string{"0001_a.sql": "-- +goose Up\nCREATE TABLE a (x);\n" + line + "\nDROP TABLE a;\n"}
			m := migrate(db, content)
			for _, f := range []func(context.Context, *update.Task) error{m.Check, m.Do} {
				require.ErrorContains(t, f(t.Context(), task("one", "1.0.0")), "0001_a.sql: line 3: what follows takes the file back")
			}
			require.Equal(t, []string{"page"}, tables(t, db))
			content["0001_a.sql"] = "CREATE TABLE a (x);\n" + line + "\n-- nothing\n;\n"
			require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
			require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
		})
	}
	db, _ := site(t)
	m := migrate(db, map[string]string{"0001_a.sql": "-- +goose Up\n-- counts up and\n-- down: see below\n-- download\n-- down the road\n/*\n-- down\n*/\n" +
		"CREATE TABLE a (\n-- up\nx,\n-- down\ny); -- down\n-- undone\nSELECT '\n-- down\n';"})
	require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
	require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
	require.Equal(t, []string{"a", "page"}, tables(t, db))
}

func TestMigrateSQLTakesAFileThatDoesNothing(t *testing.T) {
	db, _ := site(t)
	m := migrate(db, map[string]string{"0001_a.sql": "", "0002_b.sql": "-- nothing", "0003_c.sql": ";;\n", "0004_d.sql": "-- upkeep: no transaction\n"})
	require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
	require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
	require.Equal(t, []string{"applied", "applied", "applied", "applied"}, values(t, db, "SELECT state FROM upkeep_step_migration"))
}

func TestMigrateSQLRefusesWhatItIsNotFor(t *testing.T) {
	db, _ := site(t)
	m := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(nil), Longest: -1})
	require.ErrorContains(t, m.Check(t.Context(), task("one", "1.0.0")), "Migrations.Longest is -1ns")
}
