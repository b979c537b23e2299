package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
)

func TestNothingBelowARootLeadsOut(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "out")))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	d := durable.In(root)

	require.NoError(t, d.Mkdir("folder"))
	require.NoError(t, durable.WriteOn(d, "folder/file", []byte("text"), 0o600))
	require.NoError(t, d.Link("folder/file", "other"))
	require.ErrorIs(t, d.Link("folder/file", "other"), fs.ErrExist)
	require.NoError(t, durable.RemoveOn(d, "folder/file"))
	f, err := d.Append("other")
	require.NoError(t, err)
	_, err = f.Write([]byte(" more"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	data, err := os.ReadFile(filepath.Join(dir, "other"))
	require.NoError(t, err)
	require.Equal(t, "text more", string(data))

	_, err = d.Create("out/file")
	require.Error(t, err)
	require.Error(t, d.Mkdir("../folder"))
	require.Error(t, d.Link("other", "out/other"))
	require.Error(t, d.SyncDir("out"))
	require.Empty(t, names(t, outside))
}
