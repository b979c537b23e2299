package durable_test

import (
	"errors"
	"io/fs"
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

func TestANewFileIsPrivateAndNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := durable.OS.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = durable.OS.Create(path)
	require.ErrorIs(t, err, os.ErrExist)
	require.ErrorIs(t, durable.OS.Link(path, path), os.ErrExist)

	f, err = durable.OS.Append(path)
	require.NoError(t, err)
	_, err = f.Write([]byte("more"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "more", string(data))
}

// full is a disk without room for content.
type full struct{ durable.Disk }

type fullFile struct{ durable.File }

func (d full) Create(path string) (durable.File, error) {
	f, err := d.Disk.Create(path)
	return fullFile{f}, err
}

func (fullFile) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWriteOnAFullDiskLeavesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, durable.Write(path, []byte("one"), 0o600))
	require.ErrorContains(t, durable.WriteOn(full{durable.OS}, path, []byte("two"), 0o600), "no space")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(data))
	require.Equal(t, []string{"file"}, names(t, dir))
}

func TestRewriteTakesThePlaceOfWhatAKilledProcessHasLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"first", "second"} {
		require.NoError(t, os.WriteFile(path+".tmp", []byte("half of something long"), 0o400))
		require.NoError(t, durable.Rewrite(path, []byte(text), 0o640))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
		files, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, files, 1)
	}
}
