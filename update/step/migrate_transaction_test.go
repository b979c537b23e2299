package step_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// migrate is a step that runs files on db.
func migrate(db *sql.DB, content map[string]string) update.Step {
	return step.MigrateSQL(step.Migrations{DB: db, Files: fixed(content)})
}

// endings are files that end the transaction that they run in.
var endings = map[string]string{
	"a commit before an error":                  "CREATE TABLE a (x); COMMIT; INSERT INTO nowhere VALUES (1);",
	"an end":                                    "CREATE TABLE a (x);\nEND;\nINSERT INTO nowhere VALUES (1);",
	"an end that says of what":                  "CREATE TABLE a (x); END TRANSACTION; INSERT INTO nowhere VALUES (1);",
	"a comment before it":                       "CREATE TABLE a (x); /* done */ COMMIT; INSERT INTO nowhere VALUES (1);",
	"a comment after it":                        "CREATE TABLE a (x);\nCOMMIT -- x\n;\nINSERT INTO nowhere VALUES (1);",
	"a commit at the end":                       "CREATE TABLE a (x); COMMIT;",
	"a commit without a semicolon":              "CREATE TABLE a (x); COMMIT",
	"a commit and another transaction":          "CREATE TABLE a (x); COMMIT; BEGIN; CREATE TABLE b (x);",
	"a commit, another transaction, its error":  "CREATE TABLE a (x); COMMIT; BEGIN; CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);",
	"two transactions":                          "CREATE TABLE a (x); COMMIT; BEGIN; CREATE TABLE b (x); COMMIT;",
	"a rollback and another transaction":        "CREATE TABLE a (x); ROLLBACK; BEGIN; CREATE TABLE b (x);",
	"a rollback, and more without one":          "CREATE TABLE a (x); ROLLBACK; CREATE TABLE b (x);",
	"a rollback at the end":                     "CREATE TABLE a (x); ROLLBACK;",
	"a savepoint that outlives its transaction": "SAVEPOINT a; CREATE TABLE a (x); COMMIT; BEGIN; SAVEPOINT a; RELEASE a;",
}

func TestMigrateSQLFindsOutThatAFileEndedItsTransaction(t *testing.T) {
	for name, text := range endings {
		t.Run(name, func(t *testing.T) {
			db, _ := site(t)
			content := map[string]string{"0001_news.sql": first, "0002_a.sql": text}
			require.ErrorContains(t, migrate(db, content).Check(t.Context(), task("one", "1.0.0")), "0002_a.sql: line ", "it is refused beforehand")
			require.Error(t, migrate(db, content).Do(t.Context(), task("one", "1.0.0")))
			require.Equal(t, []string{"page"}, tables(t, db))

			// What the reader of statements overlooks is found out.
			err := step.RunMigration(t.Context(), db, task("one", "1.0.0"), "0002_a.sql", text)
			require.ErrorIs(t, err, step.ErrHalfApplied)
			require.ErrorContains(t, err, "0002_a.sql has ended the transaction")
			require.Equal(t, []string{"half"}, values(t, db, "SELECT state FROM upkeep_step_migration"))
			err = step.RunMigration(t.Context(), db, task("two", "1.0.0"), "0002_a.sql", text)
			require.ErrorIs(t, err, step.ErrHalfApplied, "and stays so")

			good := map[string]string{"0002_a.sql": "SELECT 1", "0003_b.sql": "CREATE TABLE c (x);"}
			require.ErrorIs(t, migrate(db, good).Check(t.Context(), task("three", "1.0.0")), step.ErrHalfApplied)
			require.ErrorIs(t, migrate(db, good).Do(t.Context(), task("three", "1.0.0")), step.ErrHalfApplied)
			require.NotContains(t, tables(t, db), "c")
			execSQL(t, db, "DELETE FROM upkeep_step_migration")
			require.NoError(t, migrate(db, good).Do(t.Context(), task("four", "1.0.0")), "somebody has put it right")
			require.Equal(t, []string{"0002_a.sql", "0003_b.sql"}, recorded(t, db))
		})
	}
}

func TestMigrateSQLRollsBackAFileThatFails(t *testing.T) {
	tests := map[string]string{
		"an error":                              "CREATE TABLE a (x); INSERT INTO nowhere VALUES (1);",
		"an error in a savepoint":               "CREATE TABLE a (x); SAVEPOINT b; INSERT INTO nowhere VALUES (1);",
		"an error that ends the transaction":    "CREATE TABLE a (x UNIQUE); INSERT INTO a VALUES (1); INSERT OR ROLLBACK INTO a VALUES (1);",
		"a trigger that ends the transaction":   "CREATE TABLE a (x); CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT RAISE(ROLLBACK, 'no'); END; INSERT INTO a VALUES (1);",
		"a savepoint that is not there":         "CREATE TABLE a (x); RELEASE upkeep;",
		"a row that comes to lack its parent":   "PRAGMA defer_foreign_keys = 1; CREATE TABLE p (i INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (1);",
		"a file that forgets what was recorded": "CREATE TABLE a (x); DELETE FROM upkeep_step_migration;",
		"a file that drops the table":           "CREATE TABLE a (x); DROP TABLE upkeep_step_migration;",
		"a mistake at its end":                  "CREATE TABLE a (x); CREATE",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			db, _ := site(t)
			db = openDB(t, fileOf(t, db), "foreign_keys(1)", "busy_timeout(5000)")
			content := map[string]string{"0001_news.sql": first, "0002_a.sql": text}
			for _, run := range []string{"one", "two"} {
				err := migrate(db, content).Do(t.Context(), task(run, "1.0.0"))
				require.ErrorContains(t, err, "running 0002_a.sql: ")
				require.NotErrorIs(t, err, step.ErrHalfApplied)
				require.Equal(t, []string{"news", "page"}, tables(t, db))
				require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))
			}
			content["0002_a.sql"] = "CREATE TABLE a (x);"
			require.NoError(t, migrate(db, content).Do(t.Context(), task("three", "1.0.0")))
			require.Equal(t, []string{"0001_news.sql", "0002_a.sql"}, recorded(t, db))
		})
	}
}

// fileOf is the path of a database.
func fileOf(t *testing.T, db *sql.DB) string {
	return values(t, db, "SELECT file FROM pragma_database_list WHERE name = 'main'")[0]
}

func TestMigrateSQLTakesWordsThatEndNoTransaction(t *testing.T) {
	tests := map[string]string{
		"in a comment":           "/*\nCOMMIT;\n*/ CREATE TABLE a (x); -- ; ROLLBACK;\nSELECT 1;",
		"in a string":            "CREATE TABLE a (x); INSERT INTO a VALUES ('it''s\nCOMMIT;\nBEGIN;\n');",
		"in names":               "CREATE TABLE a (x, [\nEND;\n], \"\nROLLBACK;\n\", `\nCOMMIT;\n`);",
		"in a trigger":           "CREATE TABLE a (x); CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN\nSELECT CASE WHEN 1 THEN 2\nEND;\nDELETE FROM a;\nEND;\nSELECT 2;",
		"of savepoints":          "CREATE TABLE a (x); SAVEPOINT s; INSERT INTO a VALUES (1); ROLLBACK TO s; RELEASE s; SAVEPOINT open;",
		"rolled back by a name":  "SAVEPOINT s; CREATE TABLE gone (x); ROLLBACK TRANSACTION TO SAVEPOINT s; CREATE TABLE a (x);",
		"in a case":              "CREATE TABLE a (x); SELECT CASE 1 WHEN 1 THEN 2\nEND;",
		"with a byte order mark": "\ufeffCREATE TABLE a (x);\ufeff SELECT 1;",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			db, _ := site(t)
			m := migrate(db, map[string]string{"0001_a.sql": text})
			require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
			require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
			require.Equal(t, []string{"a", "page"}, tables(t, db))
			require.Equal(t, []string{"applied"}, values(t, db, "SELECT state FROM upkeep_step_migration"))
		})
	}
}

func TestMigrateSQLWithABackupTakesAHalfAppliedFileBack(t *testing.T) {
	db, s := site(t)
	content := map[string]string{"0001_news.sql": first}
	m := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(content), Backup: s})
	require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
	content["0002_a.sql"] = "CREATE TABLE a (x);"
	tk := task("two", "1.1.0")
	require.NoError(t, m.Do(t.Context(), tk))
	execSQL(t, db, "UPDATE upkeep_step_migration SET state = 'half' WHERE name = '0002_a.sql'")
	_, err := m.Probe(t.Context(), tk)
	require.ErrorIs(t, err, step.ErrHalfApplied)
	require.NoError(t, m.Undo(t.Context(), tk))
	require.Equal(t, []string{"news", "page"}, tables(t, db))
	require.Equal(t, []string{"0001_news.sql"}, recorded(t, db))
}
