package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func TestOpenSaysWhatIsWrongWithThePath(t *testing.T) {
	tests := []struct {
		name  string
		place func(t *testing.T) string // makes something and returns its path
		want  error
	}{
		{"a missing folder", func(t *testing.T) string { return filepath.Join(t.TempDir(), "no", "state.db") }, fs.ErrNotExist},
		{"a folder", func(t *testing.T) string { return t.TempDir() }, storage.ErrForeign},
		{"a device", func(t *testing.T) string { return os.DevNull }, storage.ErrForeign},
		{"a text", func(t *testing.T) string { return write(t, strings.Repeat("not a database\n", 100)) }, storage.ErrForeign},
		{"a short text", func(t *testing.T) string { return write(t, "x") }, storage.ErrForeign},
		{"a database of another program", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "app.db")
			rawly(t, path, "CREATE TABLE customer (id INTEGER)")
			return path
		}, storage.ErrForeign},
		{"an empty database that another program has marked", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "app.db")
			rawly(t, path, "PRAGMA application_id = 7", "PRAGMA user_version = 1")
			return path
		}, storage.ErrForeign},
		{"a schema made by an edited migration", func(t *testing.T) string {
			path := made(t)
			rawly(t, path, "UPDATE upkeep_schema SET checksum = 'x' WHERE domain = 'lease'")
			return path
		}, storage.ErrForeign},
		{"a database cut off", func(t *testing.T) string {
			path := made(t)
			require.NoError(t, os.Truncate(path, 8192))
			return path
		}, storage.ErrCorrupt},
		{"a database with an overwritten schema", func(t *testing.T) string {
			path := made(t)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			copy(data[100:], strings.Repeat("\xff", 1000))
			require.NoError(t, os.WriteFile(path, data, 0o600))
			return path
		}, storage.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.place(t)
			before := contents(path)
			_, err := sqlite.Open(sqlite.Config{Path: path})
			require.ErrorIs(t, err, tt.want)
			require.ErrorContains(t, err, path)
			require.True(t, bytes.Equal(before, contents(path)), "nothing is changed")
		})
	}
	_, err := sqlite.Open(sqlite.Config{})
	require.ErrorIs(t, err, fs.ErrInvalid)
}

// contents returns a file without what SQLite counts in its header: how often
// it was changed.
func contents(path string) []byte {
	data, _ := os.ReadFile(path)
	if len(data) > 100 && bytes.HasPrefix(data, []byte("SQLite format 3")) {
		clear(data[24:28])
		clear(data[92:100])
	}
	return data
}

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestOpenTakesAnyPath(t *testing.T) {
	for _, name := range []string{
		"state.db", "with space.db", "what?.db", "a#b.db", "100%.db", "%41.db", "a&b=c;d.db", "ü 数据.db",
		"file:x.db", ":memory:", "-dash", "'quote\"", "back\\slash.db", "a+b.db", "nul%00.db", "?mode=memory",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, name)
			db := open(t, sqlite.Config{Path: path})
			_, err := db.Locker().Acquire(t.Context(), "core", "me", 1e9)
			require.NoError(t, err)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Positive(t, info.Size())
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
			entries, err := os.ReadDir(folder)
			require.NoError(t, err)
			for _, e := range entries {
				require.True(t, strings.HasPrefix(e.Name(), name), "%q is not beside the database", e.Name())
				info, err := e.Info()
				require.NoError(t, err)
				require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), e.Name())
			}
		})
	}
}

func TestARelativePathIsThatOfTheMomentOfOpening(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	db := open(t, sqlite.Config{Path: "state.db"})
	t.Chdir(t.TempDir())
	require.NoError(t, take(db, "core"))
	_, err := db.Locker().Holder(t.Context(), "core") // by a reader, which is opened now
	require.NoError(t, err)
	_, err = open(t, sqlite.Config{Path: filepath.Join(folder, "state.db")}).Locker().Holder(t.Context(), "core")
	require.NoError(t, err)
}

func TestAFileOfOursMayHaveTablesOfOthers(t *testing.T) {
	path := made(t)
	rawly(t, path, "CREATE TABLE customer (id INTEGER)")
	open(t, sqlite.Config{Path: path})
}

func TestADatabaseOfUseWithNothingElseCanBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	app, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	db, err := sqlite.Use(t.Context(), app, sqlite.Config{})
	require.NoError(t, err)
	lease, err := db.Locker().Acquire(t.Context(), "core", "me", 1e12)
	require.NoError(t, err)
	require.NoError(t, errors.Join(db.Close(), app.Close()))
	got, err := open(t, sqlite.Config{Path: path}).Locker().Holder(t.Context(), "core")
	require.NoError(t, err)
	require.Equal(t, lease, got)
}

func TestProcessesMakeADatabaseTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var children []*proctest.Child
	for range 4 {
		children = append(children, roles.Start(t, "hold", path, t.Name()))
	}
	held := 0
	for _, c := range children {
		if c.Line() == "held" {
			held++
		}
	}
	require.Equal(t, 1, held, "one of them gets the item, and all of them opened the database")
}

func init() {
	// hold opens a database, tries to take an item, says so and waits.
	roles["hold"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		if err := take(db, args[1]); err != nil {
			fmt.Println("refused")
		} else {
			fmt.Println("held")
		}
		return proctest.Forever()
	}
}
