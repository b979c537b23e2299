package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// moves are what people do to the files of a server that runs.
var moves = map[string]func(t *testing.T, path string){
	"the folder is removed": func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(filepath.Dir(path))) },
	"the folder is moved": func(t *testing.T, path string) {
		require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"-old"))
	},
	"the folder is moved, and another is in its place": func(t *testing.T, path string) {
		require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"-old"))
		require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	},
	"the folder is moved, and a file is in its place": func(t *testing.T, path string) {
		require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"-old"))
		require.NoError(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
	},
	"the file is removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
	"the file is moved":   func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".old")) },
	"the file is replaced by another": func(t *testing.T, path string) {
		require.NoError(t, os.Rename(made(t), path))
	},
	"the path is a link to another file": func(t *testing.T, path string) {
		require.NoError(t, os.Rename(path, path+".old"))
		require.NoError(t, os.Symlink(made(t), path))
	},
	"the log is removed":   func(t *testing.T, path string) { require.NoError(t, os.Remove(path+"-wal")) },
	"the log is replaced":  func(t *testing.T, path string) { require.NoError(t, os.Rename(made(t), path+"-wal")) },
	"the index is removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path+"-shm")) },
}

func TestNothingIsAcknowledgedIntoAFileThatIsNotAtItsPath(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("windows does not move an open file")
	}
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app", "state.db")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			db := open(t, sqlite.Config{Path: path})
			require.NoError(t, create(db, "before", 0))
			move(t, path)
			for i := range 3 {
				err := create(db, fmt.Sprint("after", i), 0)
				require.ErrorIs(t, err, storage.ErrMoved)
				require.ErrorContains(t, err, path)
			}
			_, err := db.Journal().Get(t.Context(), "before")
			require.ErrorIs(t, err, storage.ErrMoved, "a reader would show what nobody else sees")
			require.ErrorIs(t, db.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db")), storage.ErrMoved)
			_, err = os.Stat(path)
			there := err == nil
			require.NoError(t, db.Close())
			_, err = os.Stat(path)
			require.Equal(t, there, err == nil, "no file is made there")
		})
	}
}

func TestAFolderThatIsMovedUnderALinkGoesOn(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "app")
	require.NoError(t, os.Mkdir(folder, 0o700))
	path := filepath.Join(folder, "state.db")
	db := open(t, sqlite.Config{Path: path})
	require.NoError(t, create(db, "before", 0))
	require.NoError(t, os.Rename(folder, folder+"-elsewhere"))
	require.NoError(t, os.Symlink(folder+"-elsewhere", folder))
	require.NoError(t, create(db, "after", 0))
	require.Equal(t, []string{"after", "before"}, runs(t, db))
}

func TestReadersLearnThatTheFileHasGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path})
	require.NoError(t, create(db, "run", 0))
	watched := make(chan error, 1)
	waits := make(chan struct{})
	go func() {
		defer close(watched)
		for e, err := range db.Journal().Watch(context.WithoutCancel(t.Context()), 0) {
			if err != nil {
				watched <- err
				return
			}
			if e.Seq == 1 {
				close(waits)
			}
		}
	}()
	<-waits
	require.NoError(t, os.Rename(path, path+".old"))
	select {
	case err := <-watched:
		require.ErrorIs(t, err, storage.ErrMoved)
	case <-time.After(proctest.Hangs):
		require.Fail(t, "Watch waits for ever")
	}
}

func TestASecondServerAtThePathIsTheOnlyOne(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows does not move an open file")
	}
	path := filepath.Join(t.TempDir(), "state.db")
	first := open(t, sqlite.Config{Path: path})
	require.NoError(t, create(first, "before", 0))
	for _, end := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.Rename(path+end, path+".old"+end))
	}
	c := roles.Start(t, "acknowledge", path, "second")
	acknowledged := []string{c.Line()}
	require.ErrorIs(t, create(first, "first", 0), storage.ErrMoved)
	require.NoError(t, first.Close())
	_, err := os.Stat(path + "-wal")
	require.NoError(t, err, "the first server leaves the second's log alone")
	acknowledged = append(acknowledged, c.Line())
	acknowledged = append(acknowledged, c.Kill()...)
	there := map[string]bool{}
	for _, id := range runs(t, open(t, sqlite.Config{Path: path})) {
		there[id] = true
	}
	for _, id := range acknowledged {
		require.True(t, there[id], "%s was acknowledged", id)
	}
	require.False(t, there["before"])
}

func TestTheApplicationsFileThatIsMovedIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	app, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, app.Close()) })
	db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
	require.NoError(t, err)
	require.NoError(t, create(db, "before", 0))
	require.NoError(t, os.Rename(path, path+".old"))
	require.ErrorIs(t, create(db, "after", 0), storage.ErrMoved)
	_, err = db.Journal().Get(t.Context(), "before")
	require.ErrorIs(t, err, storage.ErrMoved)
	require.NoError(t, db.Close())
}

func TestALogOfNothingIsNotDeleted(t *testing.T) {
	t.Parallel()
	db, wal := loggedFiles(t)
	for name, place := range map[string]func(path string) error{
		"an empty file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"no file":         func(string) error { return nil },
		"a link to none":  func(path string) error { return os.Symlink(path+".none", path) },
		"a closed file":   func(path string) error { return os.Rename(made(t), path) },
		"a backup of one": func(path string) error { _, _, backup := backedUp(t); return os.Rename(backup, path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			require.NoError(t, place(path))
			log := path + "-wal"
			require.NoError(t, os.WriteFile(log, wal, 0o600))
			before, _ := os.ReadFile(path)
			_, err := sqlite.Open(sqlite.Config{Path: path})
			require.ErrorIs(t, err, storage.ErrCorrupt)
			require.ErrorContains(t, err, log)
			after, err := os.ReadFile(log)
			require.NoError(t, err)
			require.Equal(t, len(wal), len(after), "it is left alone")
			now, _ := os.ReadFile(path)
			require.Equal(t, len(before), len(now))
		})
	}
	t.Run("the file that it is of", func(t *testing.T) {
		require.Equal(t, saves, savesIn(t, db, wal))
	})
	t.Run("an empty file alone is a new database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, create(open(t, sqlite.Config{Path: path}), "run", 0))
	})
}

// writeVersion returns what the header of a database says of its log.
func writeVersion(t *testing.T, path string) byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data[18]
}

func TestADatabaseThatIsClosedIsOneFileAndSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	require.NoError(t, create(first, "run", 0))
	second, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.NoError(t, create(second, "other", 0), "somebody has it open still")
	require.NoError(t, second.Close())
	requireAlone(t, filepath.Dir(path), "state.db")
	require.EqualValues(t, 1, writeVersion(t, path))
	requireRuns(t, path, "other", "run")
}

func TestTheFileAloneIsEverythingOnceNobodyWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	c := roles.Start(t, "write and rest", path)
	require.Equal(t, "written", c.Line())
	copied := filepath.Join(t.TempDir(), "copy.db")
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(path)
		if err != nil || os.WriteFile(copied, data, 0o600) != nil {
			return false
		}
		defer os.Remove(copied)
		n := 0
		app, err := sql.Open("sqlite", "file:"+copied)
		if err != nil {
			return false
		}
		defer app.Close()
		return app.QueryRow("SELECT count(*) FROM upkeep_update_run").Scan(&n) == nil && n == 10
	}, proctest.Hangs, 50*time.Millisecond)
	c.Kill()
}

func init() {
	roles["write and rest"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		for i := range 10 {
			if err := create(db, fmt.Sprint(i), 1000); err != nil {
				return err
			}
		}
		fmt.Println("written")
		return proctest.Forever()
	}
}

// shell runs SQLite's own program on a database.
func shell(t *testing.T, path, statement string) string {
	t.Helper()
	program, err := exec.LookPath("sqlite3")
	needstest.Tool(t, "sqlite3", err == nil)
	out, err := exec.Command(program, path, statement).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
