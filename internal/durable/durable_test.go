package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
)

func names(t *testing.T, dir string) (all []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestWriteReplacesAFileAndLeavesNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"one", "two"} {
		require.NoError(t, durable.Write(path, []byte(text), 0o644))
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode().Perm())
		require.Equal(t, []string{"file"}, names(t, dir))
	}
}

func TestWriteThatFailsLeavesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "folder")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "inner"), 0o755))
	require.Error(t, durable.Write(path, []byte("text"), 0o644))
	require.Equal(t, []string{"folder"}, names(t, dir))
	require.Error(t, durable.Write(filepath.Join(dir, "missing", "file"), nil, 0o644))
}

func TestRemoveMayBeRepeated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for range 2 {
		require.NoError(t, durable.Remove(path))
		require.Empty(t, names(t, dir))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(path, "inner"), 0o755))
	require.Error(t, durable.Remove(path))
}

func TestSyncDirNeedsAFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, durable.SyncDir(dir))
	if os.PathSeparator == '/' {
		require.ErrorIs(t, durable.SyncDir(filepath.Join(dir, "missing")), os.ErrNotExist)
	}
}
