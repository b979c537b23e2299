package sync_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// TestWhatAFolderOfTheSystemMayHave: names of any bytes, times of any century,
// what is private, and what is no file at all.
func TestWhatAFolderOfTheSystemMayHave(t *testing.T) {
	cloud := memory.New().Remote("notes")
	a, b := t.TempDir(), t.TempDir()
	far, err := unix.TimeToTimespec(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC))
	if errors.Is(err, unix.ERANGE) { // a number of 32 bits ends before that
		far, err = unix.TimeToTimespec(time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	require.NoError(t, err)
	names := []string{"new\nline", "bad\xff", `back\slash`, strings.Repeat("x", 255), "trail. ", "CON", "😀"}
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(a, name), []byte(name), 0o600))
		require.NoError(t, unix.UtimesNano(filepath.Join(a, name), []unix.Timespec{far, far}))
	}
	require.NoError(t, os.Mkdir(filepath.Join(a, "private"), 0o700))
	require.NoError(t, unix.Mkfifo(filepath.Join(a, "pipe"), 0o600))
	for _, dir := range []string{a, b, a} {
		files := cloudsync.Dir(dir)
		f, err := cloudsync.New(cloudsync.Config{
			Name: "notes", Store: memory.New(), Files: files, Remote: cloud, Vault: latch("secret"), Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		run, err := f.Sync(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		require.Zero(t, run.Conflicts)
		status, err := f.Status(t.Context())
		require.NoError(t, err)
		if dir == a {
			require.Equal(t, "pipe", status.Problems[0].Path)
		}
		require.NoError(t, f.Close())
		require.NoError(t, files.Close())
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(b, name))
		require.NoError(t, err)
		require.Equal(t, name, string(text))
		info, err := os.Stat(filepath.Join(b, name))
		require.NoError(t, err)
		require.Greater(t, info.ModTime().UTC().Year(), 2037, "as far as the file system knows")
	}
	info, err := os.Stat(filepath.Join(b, "private"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
}
