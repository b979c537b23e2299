package step_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

const apart = "-- upkeep: no transaction\n"

func TestMigrateSQLRunsAFileOutsideATransaction(t *testing.T) {
	db, _ := site(t)
	m := migrate(db, map[string]string{
		"0001_tidy.sql": "--  UPKEEP:  No  Transaction\r\nPRAGMA page_size = 512;\r\nPRAGMA journal_mode = DELETE;\r\nVACUUM;\r\nCREATE TABLE a (x);\r\n",
		"0002_more.sql": apart + "ATTACH ':memory:' AS other; CREATE TABLE other.t (x); INSERT INTO other.t VALUES (5); INSERT INTO a SELECT x FROM other.t; DETACH other;\n" +
			"CREATE TRIGGER t AFTER INSERT ON a BEGIN\nDELETE FROM a WHERE x = 4;\nEND; INSERT INTO a VALUES (4);",
		"0003_same.sql": "CREATE TABLE b (x);",
	})
	require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
	tk := task("one", "1.0.0")
	require.NoError(t, m.Do(t.Context(), tk))
	require.Equal(t, []string{"512"}, values(t, db, "PRAGMA page_size"))
	require.Equal(t, []string{"5"}, values(t, db, "SELECT x FROM a"))
	require.Equal(t, []string{"0001_tidy.sql applied 4", "0002_more.sql applied 7", "0003_same.sql applied 0"},
		values(t, db, "SELECT name || ' ' || state || ' ' || done FROM upkeep_step_migration ORDER BY name"))
	applied, err := m.Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedYes, applied)
	require.NoError(t, m.Do(t.Context(), task("two", "1.0.0")))
}

func TestMigrateSQLGoesOnWhereAFileStopped(t *testing.T) {
	db, s := site(t)
	content := map[string]string{
		"0001_a.sql": apart + "PRAGMA recursive_triggers = ON;\nCREATE TABLE log (x);\nVACUUM;\nINSERT INTO log VALUES (1);\nINSERT INTO nowhere VALUES (2);\n" +
			"INSERT INTO log SELECT recursive_triggers + 2 FROM pragma_recursive_triggers;",
		"0002_b.sql": "CREATE TABLE b (x);",
	}
	m := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(content), Backup: s})
	rows := "SELECT name || ' ' || state || ' ' || done || ' ' || run FROM upkeep_step_migration"
	tk := task("one", "1.0.0")
	probe := func() update.Applied {
		applied, err := m.Probe(t.Context(), tk)
		require.NoError(t, err)
		return applied
	}
	require.Equal(t, update.AppliedNo, probe())
	for range 2 {
		require.ErrorContains(t, m.Do(t.Context(), tk), "running 0001_a.sql: statement 5 of 6, line 6: ")
		require.Equal(t, []string{"0001_a.sql partly 4 one"}, values(t, db, rows))
		require.Equal(t, []string{"1"}, values(t, db, "SELECT x FROM log"))
		require.Equal(t, update.AppliedUnknown, probe())
	}

	whole := content["0001_a.sql"]
	for _, changed := range []string{
		"-- upkeep: no transaction\nSELECT 0;" + whole[len(apart):], "CREATE TABLE log (x);", apart + "CREATE TABLE log (x);",
	} {
		content["0001_a.sql"] = changed
		require.ErrorContains(t, m.Check(t.Context(), tk), "0001_a.sql was changed in what is applied of it, the first 4 statements")
		require.ErrorContains(t, m.Do(t.Context(), tk), "0001_a.sql was changed in what is applied of it")
	}

	content["0001_a.sql"] = apart + "PRAGMA recursive_triggers = ON; CREATE TABLE log (x); VACUUM; INSERT INTO log VALUES (1);\n" +
		"INSERT INTO log SELECT recursive_triggers + 2 FROM pragma_recursive_triggers;"
	next := task("two", "1.0.0")
	require.NoError(t, m.Do(t.Context(), next), "what is not done may be mended")
	require.Equal(t, []string{"1", "3"}, values(t, db, "SELECT x FROM log"), "and what is set for the session is set again")
	require.Equal(t, []string{"0001_a.sql applied 5 two", "0002_b.sql applied 0 two"}, values(t, db, rows+" ORDER BY name"))

	require.NoError(t, m.Undo(t.Context(), next), "the second run goes back to where it began")
	require.Equal(t, []string{"0001_a.sql partly 4 one"}, values(t, db, rows))
	execSQL(t, db, "INSERT INTO log VALUES (9)")
	require.NoError(t, m.Undo(t.Context(), next), "once")
	require.Equal(t, []string{"1", "9"}, values(t, db, "SELECT x FROM log"))
	require.NoError(t, m.Undo(t.Context(), tk), "the first one to before the file")
	require.Equal(t, []string{"page"}, tables(t, db))
}

func TestMigrateSQLLetsAPartlyAppliedFileBeTheLast(t *testing.T) {
	db, _ := site(t)
	content := map[string]string{"0001_a.sql": apart + "SELECT 1; INSERT INTO nowhere VALUES (1);"}
	require.Error(t, migrate(db, content).Do(t.Context(), task("one", "1.0.0")))
	require.ErrorContains(t, migrate(db, map[string]string{"0002_b.sql": "SELECT 1"}).Check(t.Context(), task("two", "1.0.0")),
		"the database has 0001_a.sql, which release 1.0.0 lacks")
	execSQL(t, db, "INSERT INTO upkeep_step_migration SELECT '0002_b.sql', checksum, 0, '', 'partly', 0 FROM upkeep_step_migration")
	content["0002_b.sql"] = apart + "SELECT 1;"
	require.Error(t, migrate(db, content).Check(t.Context(), task("three", "1.0.0")))
}
