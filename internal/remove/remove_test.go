package remove_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/remove"
)

func quiet() {}

// write makes a file, and the folders around it.
func write(t *testing.T, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	return file
}

func TestAFolderIsRemovedAndNoLinkIsFollowed(t *testing.T) {
	home := t.TempDir()
	outside := write(t, home, "outside", "photo")
	for _, dir := range []string{"one", "two"} {
		write(t, home, dir, "a/b/c")
		write(t, home, dir, "file")
		require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(home, dir, "a", "link")))
		require.NoError(t, os.Symlink("nowhere", filepath.Join(home, dir, "dead")))
	}
	names := 0
	require.NoError(t, remove.All(t.Context(), filepath.Join(home, "one"), func() { names++ }))
	require.Equal(t, 7, names)
	require.NoDirExists(t, filepath.Join(home, "one"))

	require.NoError(t, remove.Contents(t.Context(), filepath.Join(home, "two"), quiet))
	left, err := os.ReadDir(filepath.Join(home, "two"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.FileExists(t, outside)

	link := filepath.Join(home, "link")
	require.NoError(t, os.Symlink(filepath.Dir(outside), link))
	require.Error(t, remove.Contents(t.Context(), link, quiet))
	require.NoError(t, remove.All(t.Context(), link, quiet))
	require.FileExists(t, outside)
}

func TestWhatIsNotThereIsRemoved(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, path := range []string{missing, filepath.Join(missing, "more")} {
		require.NoError(t, remove.All(t.Context(), path, quiet))
		require.NoError(t, remove.Contents(t.Context(), path, quiet))
		require.NoError(t, remove.Check(path))
	}
}

func TestARemovalEndsWithItsContext(t *testing.T) {
	file := write(t, t.TempDir(), "a", "file")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, remove.All(ctx, filepath.Dir(file), quiet), context.Canceled)
	require.ErrorIs(t, remove.Contents(ctx, filepath.Dir(file), quiet), context.Canceled)
	require.FileExists(t, file)
}
