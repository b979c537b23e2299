package sync_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestAFolderThatWasReplacedIsTheOneThatIsSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	names := func(files cloudsync.Files) (all []string) {
		for f, err := range files.List(t.Context(), "") {
			require.NoError(t, err)
			all = append(all, f.Path)
		}
		return all
	}
	begin := func(files cloudsync.Files, want error) {
		_, err := files.Caps(t.Context())
		require.ErrorIs(t, err, want)
	}
	require.NoError(t, os.Mkdir(path, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path, "old"), []byte("1"), 0o600))
	files := cloudsync.Dir(path)
	defer func() { require.NoError(t, files.Close()) }()
	begin(files, nil)
	require.Equal(t, []string{"old"}, names(files))

	require.NoError(t, os.Rename(path, path+".away"))
	begin(files, cloudsync.ErrNotFound)
	require.NoError(t, os.Mkdir(path, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path, "new"), []byte("2"), 0o600))
	begin(files, nil)
	require.Equal(t, []string{"new"}, names(files))
	require.NoError(t, os.Remove(filepath.Join(path, "new")))
	begin(files, nil)
	require.Empty(t, names(files), "it is opened anew once")
}
