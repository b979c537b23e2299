package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// requireRuns checks which runs a closed database has.
func requireRuns(t *testing.T, path string, want ...string) {
	t.Helper()
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.Equal(t, want, runs(t, db))
}

// backedUp returns a database with the runs "new" and "old", which is open,
// and a backup of it with "old" only.
func backedUp(t *testing.T) (db *sqlite.DB, path, backup string) {
	path = filepath.Join(t.TempDir(), "state.db")
	backup = filepath.Join(t.TempDir(), "backup.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, create(db, "old", 0))
	require.NoError(t, db.Backup(t.Context(), backup))
	require.NoError(t, create(db, "new", 0))
	return db, path, backup
}

// requireAlone checks that nothing but the named files is in a folder, and what
// is noted beside databases.
func requireAlone(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "-history") {
			names = append(names, e.Name())
		}
	}
	require.Equal(t, want, names)
}

func TestABackupIsAWholeDatabaseInOneFile(t *testing.T) {
	_, _, backup := backedUp(t)
	requireAlone(t, filepath.Dir(backup), "backup.db")
	info, err := os.Stat(backup)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	requireRuns(t, backup, "old")
}

func TestABackupReplacesNothing(t *testing.T) {
	db, path, backup := backedUp(t)
	before, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.ErrorIs(t, db.Backup(t.Context(), backup), fs.ErrExist)
	require.ErrorIs(t, db.Backup(t.Context(), path), fs.ErrExist)
	after, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.ErrorIs(t, db.Backup(t.Context(), filepath.Join(backup+"-no", "backup.db")), fs.ErrNotExist)
}

func TestABackupThatIsCancelledLeavesNothing(t *testing.T) {
	db, _, backup := backedUp(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, db.Backup(ctx, backup+"2"), context.Canceled)
	requireAlone(t, filepath.Dir(backup), "backup.db")
}

func TestABackupCanBeMadeWhileOthersWrite(t *testing.T) {
	t.Parallel()
	db, _, backup := backedUp(t)
	stop, wrote, stopped := make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			if err := create(db, fmt.Sprint(i), 5000); err != nil {
				panic(err)
			}
			select {
			case <-stop:
				return
			case wrote <- struct{}{}:
			default:
			}
		}
	}()
	for i := range 5 {
		<-wrote // and it goes on
		require.NoError(t, db.Backup(t.Context(), fmt.Sprint(backup, i)))
	}
	close(stop)
	<-stopped
	for i := range 5 {
		_, err := sqlite.Open(sqlite.Config{Path: fmt.Sprint(backup, i)})
		require.NoError(t, err)
	}
}

func TestABackupOfTheApplicationsDatabaseHasEverything(t *testing.T) {
	app, db := shop(t)
	_, err := app.Exec("INSERT INTO customer VALUES ('Ada')")
	require.NoError(t, err)
	require.NoError(t, create(db, "run", 0))
	backup := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, db.Backup(t.Context(), backup))
	copied := application(t, backup, "")
	var name string
	require.NoError(t, copied.QueryRow("SELECT name FROM customer").Scan(&name))
	require.Equal(t, "Ada", name)
}

func TestRestoreReplacesTheDatabase(t *testing.T) {
	db, path, backup := backedUp(t)
	require.NoError(t, db.Close())
	require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path}))
	requireAlone(t, filepath.Dir(path), "state.db")
	requireRuns(t, path, "old")
	requireRuns(t, backup, "old")
}

func TestRestoreMakesADatabaseThatIsMissing(t *testing.T) {
	_, _, backup := backedUp(t)
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(path+"-wal", []byte("the log of a database that is gone"), 0o600))
	require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path}))
	requireAlone(t, filepath.Dir(path), "state.db")
	requireRuns(t, path, "old")
}

func TestRestoreIgnoresTheLogOfTheOldDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	_, _, backup := backedUp(t)
	c := roles.Start(t, "acknowledge", path, "x")
	for range 10 {
		c.Line()
	}
	c.Kill()
	info, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	require.Positive(t, info.Size(), "the killed process left a log")
	require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path}))
	requireAlone(t, filepath.Dir(path), "state.db")
	requireRuns(t, path, "old")
}

func TestRestoreFollowsALink(t *testing.T) {
	db, path, backup := backedUp(t)
	require.NoError(t, db.Close())
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: link}))
	requireRuns(t, path, "old")
	requireRuns(t, link, "old")
}

func TestRestoreRefusesADatabaseThatIsOpen(t *testing.T) {
	t.Run("in this process", func(t *testing.T) {
		db, path, backup := backedUp(t)
		require.ErrorIs(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path}), storage.ErrBusy)
		require.Equal(t, []string{"new", "old"}, runs(t, db))
		require.NoError(t, create(db, "newer", 0))
	})
	t.Run("in another", func(t *testing.T) {
		db, path, backup := backedUp(t)
		require.NoError(t, db.Close())
		c := roles.Start(t, "hold", path, "core")
		c.Line()
		require.ErrorIs(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path}), storage.ErrBusy)
		c.Kill()
		requireRuns(t, path, "new", "old")
	})
}

func TestRestoreRefusesABadBackup(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, backup string)
		want  error
	}{
		{"missing", func(t *testing.T, backup string) { require.NoError(t, os.Remove(backup)) }, fs.ErrNotExist},
		{"empty", func(t *testing.T, backup string) { require.NoError(t, os.Truncate(backup, 0)) }, storage.ErrForeign},
		{"cut off", func(t *testing.T, backup string) { require.NoError(t, os.Truncate(backup, 8192)) }, storage.ErrCorrupt},
		{"a text", func(t *testing.T, backup string) {
			require.NoError(t, os.WriteFile(backup, []byte(strings.Repeat("text", 1000)), 0o600))
		}, storage.ErrForeign},
		{"of another program", func(t *testing.T, backup string) { rawly(t, backup, "PRAGMA application_id = 7") }, storage.ErrForeign},
		{"newer", func(t *testing.T, backup string) {
			rawly(t, backup, "INSERT INTO upkeep_schema VALUES ('update', 2, '0002_future.sql', 'x', 2, 0)")
		}, storage.ErrNewer},
		{"damaged in a page", func(t *testing.T, backup string) {
			data, err := os.ReadFile(backup)
			require.NoError(t, err)
			copy(data[len(data)-4096:], strings.Repeat("\xff", 4096))
			require.NoError(t, os.WriteFile(backup, data, 0o600))
		}, storage.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, path, backup := backedUp(t)
			require.NoError(t, db.Close())
			tt.spoil(t, backup)
			err := sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path})
			require.ErrorIs(t, err, tt.want)
			require.ErrorContains(t, err, backup)
			requireAlone(t, filepath.Dir(path), "state.db")
			requireRuns(t, path, "new", "old")
		})
	}
}

func TestRestoreRefusesToReplaceWhatIsNotOurs(t *testing.T) {
	_, _, backup := backedUp(t)
	path := filepath.Join(t.TempDir(), "app.db")
	rawly(t, path, "CREATE TABLE customer (id INTEGER)")
	require.ErrorIs(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: path}), storage.ErrForeign)
	rawly(t, path, "INSERT INTO customer VALUES (1)")
}

func TestARestoreThatIsKilledLeavesTheOldDatabaseOrTheNew(t *testing.T) {
	t.Parallel()
	_, _, backup := backedUp(t)
	old, wal := loggedFiles(t)
	seen := map[string]int{}
	for range 12 {
		path := filepath.Join(t.TempDir(), "state.db")
		require.NoError(t, os.WriteFile(path, old, 0o600))
		require.NoError(t, os.WriteFile(path+"-wal", wal, 0o600))
		c := roles.Start(t, "restore for ever", path, backup)
		time.Sleep(time.Duration(rand.Int64N(int64(40 * time.Millisecond))))
		c.Kill()
		db, err := sqlite.Open(sqlite.Config{Path: path})
		require.NoError(t, err)
		ids := runs(t, db)
		require.Contains(t, [][]string{{"old"}, {"run"}}, ids)
		seen[ids[0]]++
		if ids[0] == "run" {
			run, err := db.Journal().Get(t.Context(), "run")
			require.NoError(t, err)
			require.EqualValues(t, saves, run.Rev, "with all that was in its log")
		}
		require.NoError(t, db.Backup(t.Context(), path+"-check"), "it is whole")
		require.NoError(t, db.Close())
	}
	t.Log(seen)
}

func TestADatabaseThatIsOpenedWhileItIsReplacedIsTheOldOrTheNew(t *testing.T) {
	t.Parallel()
	db, path, backup := backedUp(t)
	require.NoError(t, db.Close())
	c := roles.Start(t, "restore for ever", path, backup)
	for i := range 20 {
		db, err := sqlite.Open(sqlite.Config{Path: path})
		for errors.Is(err, storage.ErrBusy) { // it was replaced three times meanwhile
			db, err = sqlite.Open(sqlite.Config{Path: path})
		}
		require.NoError(t, err)
		require.NoError(t, create(db, fmt.Sprint(i), 0))
		require.Contains(t, runs(t, db), fmt.Sprint(i), "what is open is not replaced")
		require.NoError(t, db.Close())
		time.Sleep(time.Duration(rand.Int64N(int64(5 * time.Millisecond))))
	}
	require.Equal(t, "restored", c.Line())
	c.Kill()
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	require.NoError(t, db.Backup(t.Context(), backup+"-check"), "it is whole")
	require.NoError(t, db.Close())
}

func init() {
	roles["restore for ever"] = func(args []string) error {
		for {
			for _, backup := range args[1:] {
				err := sqlite.Restore(context.Background(), backup, sqlite.Config{Path: args[0]})
				if errors.Is(err, storage.ErrBusy) {
					continue
				}
				if err != nil {
					return err
				}
				fmt.Println("restored")
			}
		}
	}
}
