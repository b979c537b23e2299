//go:build unix

package owned_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/owned"
)

func write(t *testing.T, path string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	return path
}

func open(path string) error {
	f, err := owned.Open(path, os.O_RDWR, 0)
	if err == nil {
		err = f.Close()
	}
	return err
}

func TestAFileOfThisUserAloneIsOpened(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, open(write(t, filepath.Join(dir, "a"))))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "link")))
	require.NoError(t, open(filepath.Join(dir, "link", "a")), "folders may be links")
	require.ErrorIs(t, open(filepath.Join(dir, "b")), fs.ErrNotExist)
	require.ErrorIs(t, open(filepath.Join(dir, "none", "b")), fs.ErrNotExist)
}

func TestWhatOthersMayWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a"))
	require.NoError(t, os.Chmod(a, 0o620))
	require.ErrorIs(t, open(a), owned.ErrOthers)
	require.NoError(t, os.Chmod(a, 0o600))
	inner := filepath.Join(dir, "outer", "inner")
	require.NoError(t, os.MkdirAll(inner, 0o700))
	b := write(t, filepath.Join(inner, "b"))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(inner, link))
	require.NoError(t, open(b))
	for _, folder := range []string{"outer", "outer/inner"} {
		require.NoError(t, os.Chmod(filepath.Join(dir, folder), 0o777))
		require.ErrorIs(t, open(b), owned.ErrOthers, folder)
		require.ErrorIs(t, open(filepath.Join(link, "b")), owned.ErrOthers, folder)
		require.NoError(t, os.Chmod(filepath.Join(dir, folder), 0o777|fs.ModeSticky))
		require.NoError(t, open(b), folder)
	}
	require.NoError(t, os.Chmod(dir, 0o777), "who can turn the link")
	require.ErrorIs(t, open(filepath.Join(link, "b")), owned.ErrOthers)
}

func TestALinkIsNotFollowedNorASecondName(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a"))
	require.NoError(t, os.Symlink(a, filepath.Join(dir, "b")))
	require.ErrorIs(t, open(filepath.Join(dir, "b")), syscall.ELOOP)
	require.NoError(t, os.Link(a, filepath.Join(dir, "c")))
	require.ErrorIs(t, open(a), owned.ErrOthers)
	require.NoError(t, os.Remove(filepath.Join(dir, "c")))
	require.NoError(t, open(a))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	require.Error(t, open(filepath.Join(dir, "pipe")))
	require.NoError(t, os.Symlink("round", filepath.Join(dir, "round")))
	require.ErrorContains(t, open(filepath.Join(dir, "round", "a")), "links")
}

func TestWhatIsSomebodyElsesIsRefused(t *testing.T) {
	needstest.Tool(t, "root", os.Geteuid() == 0)
	dir := filepath.Join(t.TempDir(), "dir")
	require.NoError(t, os.Mkdir(dir, 0o700))
	a := write(t, filepath.Join(dir, "a"))
	require.NoError(t, os.Chown(a, 65534, 0))
	require.ErrorIs(t, open(a), owned.ErrOthers)
	require.NoError(t, os.Chown(a, 0, 0))
	require.NoError(t, os.Chown(dir, 65534, 0))
	require.ErrorIs(t, open(a), owned.ErrOthers)
	require.NoError(t, os.Lchown(dir, 0, 0))
	require.NoError(t, open(a))
}
