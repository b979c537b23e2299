package remove_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/internal/remove"
)

// mounted is something that is mounted at a point below the home of the test.
type mounted struct {
	name  string
	mount func(t *testing.T, home, point string)
	point string
}

func TestARemovalStopsAtWhatIsMounted(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		tests := []mounted{
			{"a folder of the same device", func(t *testing.T, home, point string) {
				require.NoError(t, os.MkdirAll(point, 0o755))
				mounttest.Bind(t, filepath.Join(home, "volume"), point)
			}, "site/uploads"},
			{"one deeper, with a space in its name", func(t *testing.T, home, point string) {
				require.NoError(t, os.MkdirAll(point, 0o755))
				mounttest.Bind(t, filepath.Join(home, "volume"), point)
			}, "site/a/b c/\n"},
			{"the folder itself", func(t *testing.T, home, point string) {
				mounttest.Bind(t, filepath.Join(home, "volume"), point)
			}, "site"},
			{"a file", func(t *testing.T, home, point string) {
				write(t, point)
				mounttest.Bind(t, filepath.Join(home, "volume", "photo"), point)
			}, "site/config.php"},
			{"a folder mounted on itself", func(t *testing.T, home, point string) {
				require.NoError(t, os.MkdirAll(point, 0o755))
				mounttest.Bind(t, point, point)
				write(t, point, "photo")
			}, "site/self"},
			{"another device", func(t *testing.T, home, point string) {
				require.NoError(t, os.MkdirAll(point, 0o755))
				mounttest.Mount(t, "none", point, "tmpfs", 0, "")
				write(t, point, "photo")
			}, "site/memory"},
		}
		for _, tt := range tests {
			t.Run(tt.name, tt.run)
		}
	})
}

func (tt mounted) run(t *testing.T) {
	home := t.TempDir()
	photo := write(t, home, "volume", "photo")
	site, point := filepath.Join(home, "site"), filepath.Join(home, tt.point)
	write(t, site, "page")
	tt.mount(t, home, point)
	before, err := os.ReadDir(point)
	if err != nil {
		before = nil // it is a file
	}

	err = remove.Check(site)
	require.ErrorIs(t, err, remove.ErrMounted)
	require.ErrorContains(t, err, strconv.Quote(filepath.Clean(point)))
	require.NoError(t, remove.Check(filepath.Join(home, "volume")))
	require.ErrorIs(t, remove.All(t.Context(), site, quiet), remove.ErrMounted)
	require.ErrorIs(t, remove.Contents(t.Context(), site, quiet), remove.ErrMounted)
	require.FileExists(t, photo)
	if before != nil {
		after, err := os.ReadDir(point)
		require.NoError(t, err)
		require.Equal(t, len(before), len(after))
	}
}

func TestAFolderIsEmptiedInAFolderThatCannotBeRead(t *testing.T) {
	around := filepath.Join(t.TempDir(), "around")
	write(t, around, "cache", "page")
	require.NoError(t, os.Chmod(around, 0o311))
	t.Cleanup(func() { _ = os.Chmod(around, 0o755) })
	require.NoError(t, remove.Contents(t.Context(), filepath.Join(around, "cache"), quiet))
	require.NoFileExists(t, filepath.Join(around, "cache", "page"))
}
