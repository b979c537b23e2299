//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
)

var shown = lv.TableID{App: "app", Schema: "table"}

func saveOne(ctx context.Context, db *postgres.DB, n int) (lv.Version, error) {
	edit := lv.Edit{Op: lv.OpSave, Row: "row", Content: fmt.Appendf(nil, "%d", n)}
	versions, err := db.Versions().Write(ctx, shown, []lv.Edit{edit}, lv.By{Actor: "ada"})
	if err != nil {
		return lv.Version{}, err
	}
	return versions[0], nil
}

func infoOf(t *testing.T, db *postgres.DB) lv.TableInfo {
	t.Helper()
	for info, err := range db.Versions().Tables(t.Context(), shown) {
		require.NoError(t, err)
		return info
	}
	require.Fail(t, "no table")
	return lv.TableInfo{}
}

// fill makes events: n of rows, and n of runs.
func fill(t *testing.T, db *postgres.DB, from, n int) (last lv.Version) {
	t.Helper()
	for i := range n {
		var err error
		last, err = saveOne(t.Context(), db, from+i)
		require.NoError(t, err)
		require.NoError(t, create(t.Context(), db.Journal(), fmt.Sprint("run", from+i)))
	}
	return last
}

// readers stand at the end of both feeds.
func readers(t *testing.T, db *postgres.DB) (rows, runs <-chan error) {
	ctx, stop := context.WithCancel(context.Background())
	a, b := make(chan error, 1), make(chan error, 1)
	there := make(chan struct{}, 2)
	go func() {
		for e, err := range db.Versions().Watch(ctx, 0) {
			if err != nil {
				a <- err
				return
			}
			if e.Seq == 10 {
				there <- struct{}{}
			}
		}
	}()
	go func() {
		for e, err := range db.Journal().Watch(ctx, 0) {
			if err != nil {
				b <- err
				return
			}
			if e.Seq == 20 { // two of each run
				there <- struct{}{}
			}
		}
	}()
	t.Cleanup(stop)
	<-there
	<-there
	return a, b
}

func requireTold(t *testing.T, readers <-chan error, want error) {
	t.Helper()
	select {
	case err := <-readers:
		require.ErrorIs(t, err, want)
	case <-time.After(20 * time.Second):
		require.Fail(t, "nobody is told")
	}
}

// requireNewHistory checks that a database that had 10 events of rows, and was
// brought back to an earlier state, has begun anew.
func requireNewHistory(t *testing.T, db *postgres.DB, before string, last lv.Version) {
	t.Helper()
	require.Greater(t, fill(t, db, 100, 12).ID, last.ID+1000, "no number is given twice")
	require.NotEqual(t, before, infoOf(t, db).History)
	for _, after := range []int64{7, 10} {
		for _, err := range db.Versions().Watch(t.Context(), after) {
			require.ErrorIs(t, err, lv.ErrCompacted)
		}
		for _, err := range db.Journal().Watch(t.Context(), 2*after) {
			require.ErrorIs(t, err, update.ErrCompacted)
		}
	}
}

func TestADumpThatIsRestoredUnderARunningProcessBeginsANewHistory(t *testing.T) {
	s, err := newServer()
	require.NoError(t, err)
	require.NoError(t, s.start())
	t.Cleanup(s.remove)
	schema := s.newSchema(t)
	db := open(t, postgres.Config{URL: s.url(schema)})
	fill(t, db, 0, 5)
	dump := filepath.Join(s.dir, schema+".dump")
	tool := func(name string, args ...string) {
		t.Helper()
		cmd := s.command(name, append([]string{"-h", s.dir, "-U", "upkeep"}, args...)...)
		cmd.Path = toolOf(t, s, name)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	tool("pg_dump", "-d", "postgres", "-n", schema, "-Fc", "-f", dump)
	last := fill(t, db, 5, 5)
	before := infoOf(t, db).History
	rows, runs := readers(t, db)
	other := open(t, postgres.Config{URL: s.url(schema)})

	tool("pg_restore", "-d", "postgres", "--clean", "--if-exists", "--single-transaction", dump)
	s.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
	requireTold(t, rows, lv.ErrCompacted)
	requireTold(t, runs, update.ErrCompacted)
	requireNewHistory(t, db, before, last)
	history := infoOf(t, db).History
	require.Equal(t, history, infoOf(t, other).History, "it is begun by one of them")
	require.Equal(t, history, infoOf(t, open(t, postgres.Config{URL: s.url(schema)})).History)
}

func TestAServerThatWasRecoveredBeginsANewHistory(t *testing.T) {
	s, err := newServer()
	require.NoError(t, err)
	require.NoError(t, s.start())
	t.Cleanup(s.remove)
	db := open(t, postgres.Config{URL: s.url(s.newSchema(t))})
	fill(t, db, 0, 5)
	s.end(syscall.SIGINT)
	data := s.data()
	require.NoError(t, os.CopyFS(data+"-copy", os.DirFS(data)))
	own(t, s, data+"-copy")
	require.NoError(t, s.start())
	last := fill(t, db, 5, 5)
	before := infoOf(t, db).History
	rows, runs := readers(t, db)

	s.end(syscall.SIGINT)
	require.NoError(t, os.RemoveAll(data))
	require.NoError(t, os.Rename(data+"-copy", data))
	// Recovery ends with what there is, and with another timeline.
	signal := filepath.Join(data, "recovery.signal")
	require.NoError(t, os.WriteFile(signal, nil, 0o600))
	settings := filepath.Join(data, "postgresql.auto.conf")
	require.NoError(t, os.WriteFile(settings, []byte("restore_command = 'false'\n"), 0o600))
	own(t, s, signal)
	own(t, s, settings)
	require.NoError(t, s.start())
	pool, err := pgxpool.New(t.Context(), s.url(""))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.Eventually(t, func() bool { // until then it takes no writes
		recovers := true
		err := pool.QueryRow(t.Context(), "SELECT pg_is_in_recovery()").Scan(&recovers)
		return err == nil && !recovers
	}, 30*time.Second, 10*time.Millisecond)
	requireTold(t, rows, lv.ErrCompacted)
	requireTold(t, runs, update.ErrCompacted)
	requireNewHistory(t, db, before, last)
}

// toolOf finds a program of the server's version.
func toolOf(t *testing.T, s *server, name string) string {
	initdb, err := filepath.EvalSymlinks(filepath.Join(s.bin, "initdb"))
	require.NoError(t, err)
	path := filepath.Join(filepath.Dir(initdb), name)
	if _, err := os.Stat(path); err != nil {
		require.False(t, needsAll(), "this test needs %s, and UPKEEP_NEEDS=all does not let it be skipped", name)
		t.Skipf("this test needs %s", name)
	}
	return path
}

// own gives what is below a path to the user of a server.
func own(t *testing.T, s *server, path string) {
	require.NoError(t, filepath.WalkDir(path, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		} else if err == nil {
			err = os.Chmod(path, 0o600)
		}
		if err == nil && s.user != nil {
			err = os.Chown(path, int(s.user.Uid), int(s.user.Gid))
		}
		return err
	}))
}

func TestADatabaseThatGoesOnKeepsItsHistory(t *testing.T) {
	s, err := newServer()
	require.NoError(t, err)
	require.NoError(t, s.start())
	t.Cleanup(s.remove)
	schema := s.newSchema(t)
	db := open(t, postgres.Config{URL: s.url(schema)})
	fill(t, db, 0, 2)
	history := infoOf(t, db).History
	require.NotEmpty(t, history)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		s.end(signal)
		require.NoError(t, s.start())
		fill(t, db, int(signal)*10, 1)
		require.Equal(t, history, infoOf(t, db).History)
	}
	s.exec(t, "VACUUM FULL "+schema+".upkeep_history")
	require.Equal(t, history, infoOf(t, open(t, postgres.Config{URL: s.url(schema)})).History)
	pool, err := pgxpool.New(t.Context(), s.url(schema))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	used, err := postgres.Use(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	require.Equal(t, history, infoOf(t, used).History)
	require.NoError(t, used.Close())
}

func TestARoleThatMayNotAskForTheClusterKeepsTheHistory(t *testing.T) {
	s, err := newServer()
	require.NoError(t, err)
	require.NoError(t, s.start())
	t.Cleanup(s.remove)
	schema := s.newSchema(t)
	db := open(t, postgres.Config{URL: s.url(schema)})
	fill(t, db, 0, 2)
	history := infoOf(t, db).History
	for _, sql := range []string{
		"REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", "CREATE ROLE guest LOGIN",
		"GRANT ALL ON SCHEMA " + schema + " TO guest", "GRANT ALL ON ALL TABLES IN SCHEMA " + schema + " TO guest",
	} {
		s.exec(t, sql)
	}
	url := s.url(schema) + "&user=guest"
	guest := open(t, postgres.Config{URL: url})
	require.Equal(t, history, infoOf(t, guest).History)
	require.Equal(t, history, infoOf(t, open(t, postgres.Config{URL: s.url(schema)})).History)
}
