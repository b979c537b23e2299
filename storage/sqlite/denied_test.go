//go:build linux || darwin

package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// named are the errors that a child can report to its parent.
var named = map[string]error{
	"read-only": storage.ErrReadOnly,
	"full":      storage.ErrFull,
}

func nameOf(err error) string {
	for name, sentinel := range named {
		if errors.Is(err, sentinel) {
			return name + " " + err.Error()
		}
	}
	return fmt.Sprint("unexpected: ", err)
}

func TestOpenSaysWhereItMayNotWrite(t *testing.T) {
	tests := []struct {
		name  string
		place func(t *testing.T, folder string) string
	}{
		{"a new database in a folder of others", func(t *testing.T, folder string) string {
			return filepath.Join(folder, "state.db")
		}},
		{"a readable database in a folder of others", func(t *testing.T, folder string) string {
			return moved(t, folder, 0o644)
		}},
		{"a writable database in a folder of others", func(t *testing.T, folder string) string {
			return moved(t, folder, 0o666)
		}},
		{"a database that may not be read", func(t *testing.T, folder string) string {
			return moved(t, folder, 0)
		}},
		{"a readable database in a folder that may be written", func(t *testing.T, folder string) string {
			path := moved(t, folder, 0o444)
			require.NoError(t, os.Chmod(folder, 0o777))
			return path
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder, err := os.MkdirTemp("", "upkeep")
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.Chmod(folder, 0o700); _ = os.RemoveAll(folder) })
			require.NoError(t, os.Chmod(folder, 0o755))
			path := tt.place(t, folder)
			if os.Getuid() != 0 && folderMode(t, folder) == 0o755 {
				require.NoError(t, os.Chmod(folder, 0o555))
			}
			require.Regexp(t, "^read-only .*"+path, roles.Start(t, "open as nobody", path).Line())
		})
	}
}

func TestADatabaseThatWasReadOnlyIsUsedOnceItMayBeWritten(t *testing.T) {
	folder, err := os.MkdirTemp("", "upkeep")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := moved(t, folder, 0o444)
	require.NoError(t, os.Chmod(folder, 0o777))
	require.Regexp(t, "^read-only .*"+path, roles.Start(t, "open as nobody", path).Line())
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing is left beside it")
	require.NoError(t, os.Chmod(path, 0o666))
	require.Equal(t, "opened", roles.Start(t, "open as nobody", path).Line())
}

func folderMode(t *testing.T, path string) os.FileMode {
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode().Perm()
}

func moved(t *testing.T, folder string, mode os.FileMode) string {
	path := filepath.Join(folder, "state.db")
	require.NoError(t, os.Rename(made(t), path))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// TestAFullDiskLosesNothing limits the size of the files that a child may
// write, which is a full disk to it.
func TestAFullDiskLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	c := roles.Start(t, "fill", path)
	lines := c.Rest()
	require.Greater(t, len(lines), 3)
	require.Regexp(t, "^full .*"+path, lines[len(lines)-2])
	require.Equal(t, "again", lines[len(lines)-1], "once there is space the next write is done")

	db := open(t, sqlite.Config{Path: path})
	for _, id := range append(lines[:len(lines)-2], "again") {
		_, err := db.Journal().Get(t.Context(), id)
		require.NoError(t, err, "run %s was acknowledged", id)
	}
	_, err := db.Journal().Get(t.Context(), "refused")
	require.ErrorIs(t, err, update.ErrNotFound)
	require.NoError(t, db.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db")), "it is whole")
}

func TestAFolderThatMayNotBeEnteredForAWhileIsNotLost(t *testing.T) {
	folder, err := os.MkdirTemp("", "upkeep")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700); _ = os.RemoveAll(folder) })
	path := moved(t, folder, 0o666)
	require.NoError(t, os.Chmod(folder, 0o777))
	c := roles.Start(t, "write as nobody", path)
	for range 2 { // the second time it is still the same database
		require.Equal(t, "written", c.Line())
		require.NoError(t, os.Chmod(folder, 0))
		line := c.After("written")
		require.NoError(t, os.Chmod(folder, 0o777))
		for ; line != "written"; line = c.Line() { // each try is told by its own line
			require.Contains(t, line, path)
			require.NotContains(t, line, storage.ErrMoved.Error())
		}
	}
	c.Kill()
	require.NoError(t, os.Chmod(folder, 0o777))
	require.NotEmpty(t, runs(t, open(t, sqlite.Config{Path: path})))
}

func TestAUserDoesNotTakeForRestoredWhatAnotherUserHasOpened(t *testing.T) {
	needstest.Tool(t, "root", os.Getuid() == 0)
	const nobody = 65534
	tests := []struct {
		name     string
		mode     os.FileMode
		uid, gid int
	}{
		{"root opens the database of a service", 0o600, nobody, nobody},
		{"a group shares it", 0o660, 0, nobody},
		{"everybody may write", 0o666, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder, err := os.MkdirTemp("", "upkeep")
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(folder) })
			path := moved(t, folder, tt.mode)
			require.NoError(t, os.Chmod(folder, 0o777))
			require.NoError(t, os.Chown(path, tt.uid, tt.gid))
			db, err := sqlite.Open(sqlite.Config{Path: path})
			require.NoError(t, err)
			before, err := db.Base(t.Context())
			require.NoError(t, err)
			require.NoError(t, db.Close())
			require.Equal(t, "opened", roles.Start(t, "open as nobody", path).Line())
			after, err := open(t, sqlite.Config{Path: path}).Base(t.Context())
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}

func TestADatabaseThatHasNoSpaceIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	require.Regexp(t, "^full .*"+path, roles.Start(t, "open with no space", path).Line())
	open(t, sqlite.Config{Path: path})
}

// limitFiles limits the size of files. Go's run time raises nothing for it.
func limitFiles(bytes uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	l.Cur = min(bytes, l.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

func becomeNobody() error {
	if os.Getuid() != 0 {
		return nil
	}
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534))
}

func init() {
	roles["open as nobody"] = func(args []string) error {
		if err := becomeNobody(); err != nil {
			return err
		}
		db, err := sqlite.Open(sqlite.Config{Path: args[0]})
		if err == nil {
			fmt.Println("opened")
			return db.Close()
		}
		fmt.Println(nameOf(err))
		return nil
	}
	roles["open with no space"] = func(args []string) error {
		if err := limitFiles(6000); err != nil {
			return err
		}
		_, err := sqlite.Open(sqlite.Config{Path: args[0]})
		fmt.Println(nameOf(err))
		return nil
	}
	roles["fill"] = func(args []string) error {
		db, err := sqlite.Open(sqlite.Config{Path: args[0]})
		if err != nil {
			return err
		}
		if err := limitFiles(500_000); err != nil {
			return err
		}
		for i := 0; ; i++ {
			id := fmt.Sprint(i)
			if err := create(db, id, 10_000); err != nil {
				fmt.Println(nameOf(err))
				break
			}
			fmt.Println(id)
		}
		if err := create(db, "refused", 100_000); !errors.Is(err, storage.ErrFull) {
			return fmt.Errorf("a full disk took a run: %w", err)
		}
		if err := limitFiles(1 << 40); err != nil {
			return err
		}
		if err := create(db, "again", 10_000); err != nil {
			return err
		}
		fmt.Println("again")
		return db.Close()
	}
}

func init() {
	roles["write as nobody"] = func(args []string) error {
		if err := becomeNobody(); err != nil {
			return err
		}
		db, err := sqlite.Open(sqlite.Config{Path: args[0]})
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			if err := create(db, fmt.Sprint(i), 0); err != nil {
				fmt.Println(err)
			} else {
				fmt.Println("written")
			}
		}
	}
}
