//go:build unix

package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// openSQL opens a schema of its own as an application does.
func openSQL(t *testing.T) (*sql.DB, string) {
	t.Helper()
	schema := shared.newSchema(t)
	return openURL(t, shared.url(schema)), schema
}

func openURL(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// migrate is the step that runs files on db.
func migrate(db *sql.DB, content map[string]string) update.Step {
	return step.MigrateSQL(step.Migrations{DB: db, Files: func(update.Release) (fs.FS, error) {
		tree := fstest.MapFS{}
		for name, text := range content {
			tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o444}
		}
		return tree, nil
	}})
}

func one(text string) map[string]string { return map[string]string{"0001_a.sql": text} }

func migration(id string) *update.Task {
	return &update.Task{Run: update.Run{ID: id, Package: "demo/site", Version: "1.0.0"}, Release: update.Release{Version: "1.0.0"}}
}

func texts(t *testing.T, db *sql.DB, query string) (all []string) {
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

func tables(t *testing.T, db *sql.DB, schema string) []string {
	return texts(t, db, "SELECT tablename FROM pg_tables WHERE schemaname = '"+schema+"' AND tablename NOT LIKE 'upkeep_%' ORDER BY 1")
}

const states = "SELECT name || ' ' || state || ' ' || done FROM upkeep_step_migration ORDER BY name"

// backslashes is what a backslash in a string means by this.
const backslashes = "&standard_conforming_strings=off"

// unseen makes statements look like a part of a string to who does not know that.
func unseen(text string) string { return "SELECT 'a\\'';\n" + text + "\n-- ';" }

func TestMigrateSQLFindsOutThatAFileEndedItsTransaction(t *testing.T) {
	for name, text := range map[string]string{
		"a commit before an error":           "CREATE TABLE a (x int); COMMIT; INSERT INTO nowhere VALUES (1);",
		"an end":                             "CREATE TABLE a (x int);\nEND;\nINSERT INTO nowhere VALUES (1);",
		"a comment before it":                "CREATE TABLE a (x int); /* done */ COMMIT; INSERT INTO nowhere VALUES (1);",
		"a comment after it":                 "CREATE TABLE a (x int);\nCOMMIT -- x\n; INSERT INTO nowhere VALUES (1);",
		"a chain":                            "CREATE TABLE a (x int); COMMIT AND CHAIN; INSERT INTO nowhere VALUES (1);",
		"a chain without an error":           "CREATE TABLE a (x int); COMMIT AND CHAIN; CREATE TABLE b (x int);",
		"a rollback and a chain":             "CREATE TABLE a (x int); ROLLBACK AND CHAIN; CREATE TABLE b (x int);",
		"a commit at the end":                "CREATE TABLE a (x int); COMMIT;",
		"a commit and another transaction":   "CREATE TABLE a (x int); COMMIT; BEGIN; CREATE TABLE b (x int);",
		"a begin that warns, and a commit":   "BEGIN; CREATE TABLE a (x int); COMMIT;",
		"a rollback and another transaction": "CREATE TABLE a (x int); ROLLBACK; BEGIN; CREATE TABLE b (x int);",
		"a rollback, and more without one":   "CREATE TABLE a (x int); ROLLBACK; CREATE TABLE b (x int);",
		"a rollback, more, and an error":     "CREATE TABLE a (x int); ROLLBACK; BEGIN; CREATE TABLE b (x int); COMMIT; INSERT INTO nowhere VALUES (1);",
		"an abort":                           "CREATE TABLE a (x int); ABORT;",
		"a savepoint that outlives it":       "SAVEPOINT a; CREATE TABLE a (x int); COMMIT; BEGIN; SAVEPOINT a; RELEASE a;",
		"a session that is changed too":      "SET search_path = ''; SET default_transaction_read_only = on; COMMIT; SELECT 1 / 0;",
	} {
		t.Run(name, func(t *testing.T) {
			db, schema := openSQL(t)
			require.ErrorContains(t, migrate(db, one(text)).Check(t.Context(), migration("one")), "begins and ends transactions itself")
			require.Error(t, migrate(db, one(text)).Do(t.Context(), migration("one")))
			require.Empty(t, tables(t, db, schema))

			db = openURL(t, shared.url(schema)+backslashes)
			m := migrate(db, one(unseen(text)))
			require.NoError(t, m.Check(t.Context(), migration("one")))
			for range 2 {
				require.ErrorIs(t, m.Do(t.Context(), migration("one")), step.ErrHalfApplied)
				require.Equal(t, []string{"0001_a.sql half 0"}, texts(t, db, states))
			}
			require.ErrorIs(t, m.Check(t.Context(), migration("two")), step.ErrHalfApplied)
			_, err := db.Exec("DELETE FROM upkeep_step_migration")
			require.NoError(t, err)
			require.NoError(t, migrate(db, one("CREATE TABLE c (x int);")).Do(t.Context(), migration("three")))
		})
	}
	t.Run("outside a transaction", func(t *testing.T) {
		_, schema := openSQL(t)
		db := openURL(t, shared.url(schema)+backslashes)
		m := migrate(db, one("-- upkeep: no transaction\nCREATE TABLE a (x int);\n"+unseen("COMMIT; CREATE TABLE b (x int);")))
		for range 2 {
			require.ErrorIs(t, m.Do(t.Context(), migration("one")), step.ErrHalfApplied)
			require.Equal(t, []string{"a", "b"}, tables(t, db, schema))
		}
	})
}

func TestMigrateSQLRollsBackAFileThatFails(t *testing.T) {
	for name, text := range map[string]string{
		"an error":                 "CREATE TABLE a (x int); INSERT INTO nowhere VALUES (1);",
		"an error in a savepoint":  "CREATE TABLE a (x int); SAVEPOINT s; INSERT INTO nowhere VALUES (1);",
		"an error at the commit":   "CREATE TABLE a (x int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1), (1);",
		"a procedure that commits": "CREATE TABLE a (x int); CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL p();",
		"a block that commits":     "CREATE TABLE a (x int); DO $$ BEGIN COMMIT; END $$;",
		"a session that ends":      "CREATE TABLE a (x int); SELECT pg_terminate_backend(pg_backend_pid());",
		"a table that is gone":     "CREATE TABLE a (x int); DROP TABLE upkeep_step_migration;",
	} {
		t.Run(name, func(t *testing.T) {
			db, schema := openSQL(t)
			for range 2 {
				err := migrate(db, one(text)).Do(t.Context(), migration("one"))
				require.ErrorContains(t, err, "running 0001_a.sql: ")
				require.NotErrorIs(t, err, step.ErrHalfApplied)
				require.Empty(t, tables(t, db, schema))
				require.Empty(t, texts(t, db, states))
			}
			require.NoError(t, migrate(db, one("CREATE TABLE a (x int);")).Do(t.Context(), migration("two")))
		})
	}
}

func TestMigrateSQLTakesWordsThatEndNoTransaction(t *testing.T) {
	for name, text := range map[string]string{
		"in a comment":         "/* /* */\nCOMMIT;\n*/ CREATE TABLE a (x text); -- ; ROLLBACK;",
		"in strings":           "CREATE TABLE a (x text); INSERT INTO a VALUES ('\nCOMMIT;\n'), (E'\\'\nEND;\n'), ($$\nROLLBACK;\n$$);",
		"in names":             "CREATE TABLE a (x text, \"\nEND;\n\" int);",
		"in a procedure":       "CREATE TABLE a (x text); CREATE PROCEDURE p() LANGUAGE plpgsql AS $body$\nBEGIN\n  COMMIT;\nEND;\n$body$;",
		"in a body without $$": "CREATE TABLE a (x text); CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\nSELECT CASE WHEN true THEN 1\nEND;\nEND;",
		"in a block":           "CREATE TABLE a (x text); DO $$\nBEGIN\n  NULL;\nEND;\n$$;",
		"of savepoints":        "CREATE TABLE a (x text); SAVEPOINT s; INSERT INTO a VALUES ('gone'); ROLLBACK TO s; RELEASE s; SAVEPOINT open;",
		"in a rule":            "CREATE TABLE a (x text); CREATE RULE r AS ON DELETE TO a DO ALSO (SELECT 1; SELECT CASE WHEN true THEN 1\nEND);",
		"behind a mark":        "\ufeffCREATE TABLE a (x text);",
	} {
		t.Run(name, func(t *testing.T) {
			db, schema := openSQL(t)
			require.NoError(t, migrate(db, one(text)).Check(t.Context(), migration("one")))
			require.NoError(t, migrate(db, one(text)).Do(t.Context(), migration("one")))
			require.Equal(t, []string{"a"}, tables(t, db, schema))
			require.Equal(t, []string{"0001_a.sql applied 0"}, texts(t, db, states))
		})
	}
}

func TestMigrateSQLLeavesNothingOfAFilesSessionBehind(t *testing.T) {
	role := fmt.Sprintf("r%d", schemas.Add(1))
	shared.exec(t, "CREATE ROLE "+role)
	defer shared.exec(t, "DROP ROLE "+role)
	opens := map[string]func(t *testing.T, url string) *sql.DB{
		"database/sql": openURL,
		"a pool behind it": func(t *testing.T, url string) *sql.DB {
			config, err := pgxpool.ParseConfig(url)
			require.NoError(t, err)
			config.MaxConns = 1
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			return stdlib.OpenDBFromPool(pool)
		},
	}
	for how, open := range opens {
		for name, text := range map[string]string{
			"no search path, as pg_dump does": "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE {schema}.a (x int);",
			"read only":                       "CREATE TABLE a (x int); SET default_transaction_read_only = on;",
			"a role":                          "GRANT ALL ON SCHEMA {schema} TO {role}; SET ROLE {role}; CREATE TABLE a (x int);",
			"a role that may do nothing":      "CREATE TABLE a (x int); GRANT SELECT ON a TO public; SET SESSION AUTHORIZATION {role};",
			"a temporary table":               "CREATE TABLE a (x int); CREATE TEMP TABLE upkeep_step_migration (x int); CREATE TEMP TABLE b (x int);",
			"a lock":                          "CREATE TABLE a (x int); SELECT pg_advisory_lock(7);",
			"a statement timeout":             "CREATE TABLE a (x int); SET statement_timeout = '30ms';",
			"a transaction that reads on":     "CREATE TABLE a (x int); SET TRANSACTION READ ONLY;",
		} {
			t.Run(how+", "+name, func(t *testing.T) {
				schema := shared.newSchema(t)
				db := open(t, shared.url(schema))
				db.SetMaxOpenConns(1)
				text := strings.NewReplacer("{schema}", schema, "{role}", role).Replace(text)
				content := map[string]string{"0001_a.sql": text, "0002_b.sql": "CREATE TABLE b (x int);"}
				require.NoError(t, migrate(db, content).Do(t.Context(), migration("one")))
				require.Equal(t, []string{"0001_a.sql applied 0", "0002_b.sql applied 0"}, texts(t, db, states))
				settings := "SELECT current_user || ' ' || current_setting('search_path') || ' ' || current_setting('default_transaction_read_only') || ' ' || current_setting('statement_timeout')"
				require.Equal(t, []string{"upkeep " + schema + " off 0"}, texts(t, db, settings))
				require.Equal(t, []string{"0"}, texts(t, db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7"))
				content["0003_c.sql"] = "DROP TABLE a; " + text + "INSERT INTO nowhere VALUES (1);"
				require.Error(t, migrate(db, content).Do(t.Context(), migration("two")))
				require.Equal(t, []string{"upkeep " + schema + " off 0"}, texts(t, db, settings))
				_, err := db.Exec("INSERT INTO b VALUES (1)")
				require.NoError(t, err)
				_, err = db.Exec("DROP OWNED BY " + role)
				require.NoError(t, err)
			})
		}
	}
}

func TestMigrateSQLKeepsToTheTableThatItHas(t *testing.T) {
	db, schema := openSQL(t)
	other := shared.newSchema(t)
	_, err := db.Exec("DROP SCHEMA " + other)
	require.NoError(t, err)
	url := shared.url(other + "," + schema) // like "$user", public
	db = openURL(t, url)
	content := one("CREATE TABLE a (x int);")
	require.NoError(t, migrate(db, content).Do(t.Context(), migration("one")))
	content["0002_b.sql"] = "CREATE SCHEMA " + other
	content["0003_c.sql"] = "CREATE TABLE c (x int);"
	require.NoError(t, migrate(db, content).Do(t.Context(), migration("two")))
	require.NoError(t, migrate(db, content).Do(t.Context(), migration("three")))
	require.Len(t, texts(t, db, states), 3)
}

// manyFiles leave rows in a table, in and outside a transaction.
func manyFiles() map[string]string {
	content := map[string]string{"0001_log.sql": "CREATE TABLE log (x int);"}
	for i := 2; i < 10; i++ {
		text := fmt.Sprintf("INSERT INTO log VALUES (%d);\n", i*10)
		if i%3 == 0 {
			text = fmt.Sprintf("-- upkeep: no transaction\n%s CREATE INDEX CONCURRENTLY IF NOT EXISTS log_%d ON log (x); VACUUM log; INSERT INTO log VALUES (%d);", text, i, i*10+1)
		}
		content[fmt.Sprintf("%04d_x.sql", i)] = text
	}
	return content
}

func requireMany(t *testing.T, db *sql.DB) {
	t.Helper()
	require.Equal(t, []string{"20", "30", "31", "40", "50", "60", "61", "70", "80", "90", "91"}, texts(t, db, "SELECT x FROM log ORDER BY x"))
	require.Equal(t, []string{"applied 9"}, texts(t, db, "SELECT state || ' ' || count(*) FROM upkeep_step_migration GROUP BY state"))
	require.Equal(t, []string{"3"}, texts(t, db, "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = 'log'::regclass"))
}

func TestMigrateSQLMayRunTwiceAtOnce(t *testing.T) {
	for round := range 8 {
		db, schema := openSQL(t)
		var work sync.WaitGroup
		for i := range 3 {
			own := openURL(t, shared.url(schema)+[]string{"", "&default_transaction_isolation=serializable"}[round/2%2])
			if round%2 == 1 {
				own.SetMaxOpenConns(1)
			}
			work.Go(func() {
				if err := migrate(own, manyFiles()).Do(t.Context(), migration(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		requireMany(t, db)
	}
}

// childRunsSQL runs the files in a process.
func childRunsSQL() int {
	db, err := sql.Open("pgx", os.Getenv("UPKEEP_TEST_URL"))
	if err == nil {
		err = migrate(db, manyFiles()).Do(context.Background(), migration("child"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestMigrateSQLSurvivesBeingKilled(t *testing.T) {
	kills := 0
	for range 8 {
		db, schema := openSQL(t)
		for try := range 12 {
			cmd := newChild("sql", shared.url(schema))
			require.NoError(t, cmd.Start())
			time.AfterFunc(time.Duration(20+rand.IntN(40+20*try))*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			if cmd.Wait() == nil {
				break
			}
			kills++
		}
		require.NoError(t, migrate(db, manyFiles()).Do(t.Context(), migration("last")))
		requireMany(t, db)
	}
	t.Log(kills, "kills")
}

func TestMigrateSQLMayTakeLongerThanTheLock(t *testing.T) {
	db, _ := openSQL(t)
	state := memory.New()
	u, err := update.New(update.Config{Store: state, LockTTL: time.Second, Packages: []update.Package{
		{Name: "demo/site", Source: source.Static("1.0.0"), Steps: []update.Step{migrate(db, one("SELECT pg_sleep(3); CREATE TABLE a (x int);"))}},
	}})
	require.NoError(t, err)
	defer u.Close()
	run, err := u.Update(t.Context(), update.Request{Package: "demo/site"})
	require.NoError(t, err)
	require.Equal(t, update.StateSucceeded, run.State)
}
