//go:build unix

package step_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestPublishFilesSetsPlainModesWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "site")
	src := fstest.MapFS{
		"page.html":    {Data: []byte("x"), Mode: 0o600},
		"bin/tool":     {Data: []byte("x"), Mode: 0o500},
		"secret/a/b.x": {Data: []byte("x"), Mode: 0o4644},
	}
	publish := step.PublishFiles(func(update.Release) (fs.FS, error) { return src, nil }, dir)
	require.NoError(t, publish.Do(t.Context(), task("one", "1.0.0")))
	for name, mode := range map[string]fs.FileMode{
		".": 0o755, "bin": 0o755, "secret/a": 0o755, "page.html": 0o644, "bin/tool": 0o755, "secret/a/b.x": 0o644,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}
