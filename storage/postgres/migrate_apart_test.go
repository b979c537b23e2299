//go:build unix

package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMigrateSQLRunsAFileOutsideATransaction(t *testing.T) {
	db, schema := openSQL(t)
	content := one("-- upkeep: no transaction\nSET lock_timeout = '7s';\nCREATE TABLE a (x int, t text);\nINSERT INTO a VALUES (1, 'x'), (1, 'y');\n" +
		"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"A x\" ON ONLY " + schema + ".a (x);\nVACUUM ANALYZE a;\n" +
		"INSERT INTO a VALUES (2, current_setting('lock_timeout'));\nREINDEX TABLE CONCURRENTLY a; DROP INDEX CONCURRENTLY IF EXISTS gone;\n" +
		"-- upkeep: repeatable\nDO $$ BEGIN INSERT INTO a VALUES (3, 'z'); COMMIT; END $$;")
	m := migrate(db, content)
	require.NoError(t, m.Check(t.Context(), migration("one")))
	for range 2 {
		require.ErrorContains(t, m.Do(t.Context(), migration("one")), "statement 4 of 9, line 5: ")
		require.Equal(t, []string{"0001_a.sql partly 3"}, texts(t, db, states))
		require.Equal(t, []string{"false"}, texts(t, db, `SELECT indisvalid::text FROM pg_index WHERE indexrelid = '"A x"'::regclass`))
	}
	_, err := db.Exec("DELETE FROM a WHERE t = 'y'")
	require.NoError(t, err)
	require.NoError(t, m.Do(t.Context(), migration("two")))
	require.Equal(t, []string{"0001_a.sql applied 9"}, texts(t, db, states))
	require.Equal(t, []string{"true"}, texts(t, db, `SELECT indisvalid::text FROM pg_index WHERE indexrelid = '"A x"'::regclass`))
	require.Equal(t, []string{"x", "7s", "z"}, texts(t, db, "SELECT t FROM a ORDER BY x"))
}

func TestMigrateSQLGoesOnWithWhatAFileHasSet(t *testing.T) {
	for name, set := range map[string]string{
		"by SET":               "SET search_path = %s;",
		"by set_config":        "SELECT set_config('search_path', '%s', false);",
		"as pg_dump writes it": "SELECT pg_catalog.set_config('search_path', '%s', false);",
	} {
		t.Run(name, func(t *testing.T) {
			db, schema := openSQL(t)
			_, other := openSQL(t)
			m := migrate(db, one("-- upkeep: no transaction\n"+fmt.Sprintf(set, other)+
				"CREATE TABLE a (x int); INSERT INTO "+schema+".gate VALUES (1); CREATE TABLE b (x int);"))
			require.ErrorContains(t, m.Do(t.Context(), migration("one")), "statement 3 of 4")
			_, err := db.Exec("CREATE TABLE gate (x int)")
			require.NoError(t, err)
			require.NoError(t, m.Do(t.Context(), migration("two")))
			require.Equal(t, []string{"a", "b"}, tables(t, db, other))
			require.Equal(t, []string{"gate"}, tables(t, db, schema))
		})
	}
}

func TestMigrateSQLRefusesWhatCannotRunInATransaction(t *testing.T) {
	db, schema := openSQL(t)
	for text, message := range map[string]string{
		"CREATE INDEX CONCURRENTLY i ON a (x);":                          "CREATE INDEX CONCURRENTLY cannot run in a transaction",
		"create unique index concurrently if not exists i on a (x);":     "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS cannot",
		"DROP INDEX CONCURRENTLY i;":                                     "DROP INDEX CONCURRENTLY cannot",
		"REINDEX (VERBOSE) TABLE CONCURRENTLY a;":                        "REINDEX CONCURRENTLY cannot",
		"REINDEX (VERBOSE) SCHEMA public;":                               "REINDEX SCHEMA cannot",
		"COPY a (x, y) FROM STDIN;\n1\t2\n\\.\n":                         "line 1: a command of psql, or data",
		"SELECT 1;\n\\connect other":                                     "line 2: a command of psql",
		"REINDEX DATABASE postgres;":                                     "REINDEX DATABASE cannot",
		"VACUUM a;":                                                      "VACUUM cannot",
		"ALTER SYSTEM SET work_mem = '1MB';":                             "ALTER SYSTEM cannot",
		"CREATE DATABASE x;":                                             "CREATE DATABASE cannot",
		"DROP DATABASE IF EXISTS x;":                                     "DROP DATABASE IF EXISTS cannot",
		"CREATE TABLESPACE x LOCATION '/x';":                             "CREATE TABLESPACE cannot",
		"ALTER TABLE a.b DETACH PARTITION c CONCURRENTLY;":               "ALTER TABLE DETACH PARTITION CONCURRENTLY cannot",
		"SELECT 1;\nCOMMIT PREPARED 'x';":                                "line 2: COMMIT PREPARED cannot",
		"PREPARE TRANSACTION 'x';":                                       "PREPARE TRANSACTION: the step",
		"START TRANSACTION READ ONLY;":                                   "START TRANSACTION: the step",
		"CLUSTER;":                                                       "CLUSTER cannot",
		"CLUSTER VERBOSE":                                                "CLUSTER VERBOSE cannot",
		"DISCARD ALL;":                                                   "DISCARD ALL would end what the step has",
		"-- upkeep: no transaction\nSELECT 1; discard all;":              "line 2: DISCARD ALL would end what the step has",
		"-- upkeep: no transaction\nDEALLOCATE PREPARE ALL;":             "DEALLOCATE ALL would end what the step has",
		"SELECT 1;\n-- +goose Down\nSELECT 2;":                           "line 2: what follows takes the file back",
		"SELECT $a$ x $b$;":                                              "$a$ is never closed",
		"SELECT /* /* */;":                                               "/* is never closed",
		"-- upkeep: no transaction\nCREATE INDEX CONCURRENTLY i ON a(x)": "CREATE INDEX CONCURRENTLY would be run again after a crash: write IF [NOT] EXISTS",
		"-- upkeep: no transaction\nCREATE DATABASE x":                   "CREATE DATABASE would be run again",
	} {
		m := migrate(db, one(text))
		require.ErrorContains(t, m.Check(t.Context(), migration("one")), "0001_a.sql: line ")
		require.ErrorContains(t, m.Check(t.Context(), migration("one")), message)
		require.ErrorContains(t, m.Do(t.Context(), migration("one")), message)
	}
	require.Empty(t, tables(t, db, schema))
	good := "CREATE TABLE a (x int); CREATE INDEX i ON a (x); CREATE MATERIALIZED VIEW v AS SELECT 1 AS x; CREATE UNIQUE INDEX u ON v (x); REFRESH MATERIALIZED VIEW CONCURRENTLY v; REINDEX TABLE a; CREATE TABLE system (x int); REINDEX TABLE system; COPY a TO STDOUT; ANALYZE a; CLUSTER a USING i; PREPARE p AS SELECT 1;"
	require.NoError(t, migrate(db, one(good)).Check(t.Context(), migration("one")))
	require.NoError(t, migrate(db, one(good)).Do(t.Context(), migration("one")))
}
