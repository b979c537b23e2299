//go:build unix

package step_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/step"
)

func init() {
	// migrate migrates the database at a path by the files in a folder.
	children["migrate"] = func(args []string) {
		db, err := sql.Open("sqlite", dsn(args[0], args[2:]...))
		if err != nil {
			panic(err)
		}
		files := os.DirFS(args[1])
		m := step.MigrateSQL(step.Migrations{DB: db, Files: step.Sub(files, ".")})
		fmt.Println("ready")
		if err := m.Do(context.Background(), task("child", "1.0.0")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// manyFiles are files that leave a row each, in and outside a transaction.
func manyFiles(n int) map[string]string {
	all := map[string]string{"0001_log.sql": "CREATE TABLE log (x);"}
	for i := 2; i <= n; i++ {
		text := fmt.Sprintf("INSERT INTO log VALUES (%d);\n", i*10)
		switch i % 3 {
		case 0:
			text = apart + text + fmt.Sprintf("VACUUM;\nINSERT INTO log VALUES (%d); PRAGMA optimize;", i*10+1)
		case 1:
			text = "PRAGMA foreign_keys = OFF;" + text
		}
		all[fmt.Sprintf("%04d_x.sql", i)] = text
	}
	return all
}

func requireMany(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	var want []string
	for i := 2; i <= n; i++ {
		want = append(want, fmt.Sprint(i*10))
		if i%3 == 0 {
			want = append(want, fmt.Sprint(i*10+1))
		}
	}
	require.Equal(t, want, values(t, db, "SELECT x FROM log ORDER BY x"), "each statement had its effect once")
	require.Equal(t, []string{fmt.Sprint("applied ", n)}, values(t, db, "SELECT state || ' ' || count(*) FROM upkeep_step_migration GROUP BY state"))
}

func writeFiles(t *testing.T, content map[string]string) string {
	dir := t.TempDir()
	for name, text := range content {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestMigrateSQLMayRunTwiceAtOnce(t *testing.T) {
	t.Parallel()
	files := often(6, 9)
	dir := writeFiles(t, manyFiles(files))
	for _, mode := range []string{"WAL", "DELETE"} {
		for range often(3, 5) {
			path := filepath.Join(t.TempDir(), "site.db")
			execSQL(t, openDB(t, path, "journal_mode("+mode+")"), "CREATE TABLE page (title)")
			var work sync.WaitGroup
			for range 3 {
				cmd := startChild(t, child("migrate", path, dir))
				work.Go(func() {
					if err := cmd.Wait(); err != nil {
						t.Error(mode, err)
					}
				})
			}
			work.Wait()
			requireMany(t, openDB(t, path), files)
		}
	}
}

func TestMigrateSQLMayRunTwiceAtOnceInOneProcess(t *testing.T) {
	t.Parallel()
	for range often(3, 5) {
		db, _ := site(t)
		m := migrate(db, manyFiles(6))
		var work sync.WaitGroup
		for i := range 4 {
			work.Go(func() {
				if err := m.Do(t.Context(), task(fmt.Sprint(i), "1.0.0")); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		requireMany(t, db, 6)
	}
}

func TestMigrateSQLSurvivesBeingKilled(t *testing.T) {
	t.Parallel()
	files := often(9, 12)
	content := manyFiles(files)
	dir := writeFiles(t, content)
	kills := 0
	rounds := often(3, 6)
	for round := range rounds {
		latest := 4 + 33*round/(rounds-1) // in milliseconds
		path := filepath.Join(t.TempDir(), "site.db")
		for range 20 {
			cmd := startChild(t, child("migrate", path, dir, "journal_mode(WAL)"))
			time.AfterFunc(time.Duration(1+rand.IntN(latest))*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			if !killed(t, cmd) {
				break
			}
			kills++
		}
		db := openDB(t, path, "busy_timeout(5000)")
		require.NoError(t, migrate(db, content).Do(t.Context(), task("last", "1.0.0")))
		requireMany(t, db, files)
	}
	t.Log(kills, "kills")
}

func TestMigrateSQLWaitsForALongWriter(t *testing.T) {
	t.Parallel()
	db, _ := site(t)
	db = openDB(t, fileOf(t, db)) // no busy_timeout
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO page VALUES ('second')")
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- migrate(db, manyFiles(2)).Do(t.Context(), task("one", "1.0.0")) }()
	select {
	case err := <-done:
		require.Fail(t, "it did not wait", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	requireMany(t, db, 2)
}

func TestMigrateSQLDoesNotWaitForADatabaseThatIsReadOnly(t *testing.T) {
	t.Parallel()
	for name, parameter := range map[string]string{"by a pragma": "_pragma=query_only(1)", "as it was opened": "mode=ro"} {
		t.Run(name, func(t *testing.T) {
			writable, _ := site(t)
			db, err := sql.Open("sqlite", "file:"+fileOf(t, writable)+"?"+parameter)
			require.NoError(t, err)
			defer db.Close()
			ctx, cancel := context.WithTimeout(t.Context(), hangs)
			defer cancel()
			require.Error(t, migrate(db, map[string]string{"0001_a.sql": "CREATE TABLE a (x);"}).Do(ctx, task("one", "1.0.0")))
			require.NoError(t, ctx.Err())
			require.Equal(t, []string{"page"}, tables(t, writable))
		})
	}
}

func TestMigrateSQLStopsWaiting(t *testing.T) {
	t.Parallel()
	db, _ := site(t)
	db = openDB(t, fileOf(t, db))
	require.NoError(t, migrate(db, map[string]string{"0001_log.sql": "CREATE TABLE log (x);"}).Do(t.Context(), task("one", "1.0.0")))
	tx, err := db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("INSERT INTO page VALUES ('second')")
	require.NoError(t, err)
	m := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(manyFiles(2)), Longest: time.Second})
	err = m.Do(t.Context(), task("two", "1.0.0"))
	require.ErrorContains(t, err, "it took longer than Migrations.Longest, which is 1s")
	require.NoError(t, tx.Rollback())
	require.Equal(t, []string{"0001_log.sql"}, recorded(t, db))
}

func TestMigrateSQLEndsAFileThatTakesTooLong(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", apart} {
		db, _ := site(t)
		endless := head + "CREATE TABLE a (x); INSERT INTO a WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n;"
		m := step.MigrateSQL(step.Migrations{DB: db, Files: fixed(map[string]string{"0001_a.sql": endless}), Longest: 300 * time.Millisecond})
		for range 2 {
			require.ErrorContains(t, m.Do(t.Context(), task("one", "1.0.0")), "it took longer than Migrations.Longest, which is 300ms")
		}
		if head == "" {
			require.Equal(t, []string{"page"}, tables(t, db))
			require.Empty(t, recorded(t, db))
		} else {
			require.Equal(t, []string{"partly 1"}, values(t, db, "SELECT state || ' ' || done FROM upkeep_step_migration"))
			require.Empty(t, values(t, db, "SELECT x FROM a"))
		}
		require.False(t, strings.Contains(strings.Join(values(t, db, "PRAGMA integrity_check"), ""), "error"))
	}
}
