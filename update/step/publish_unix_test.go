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
	publish := step.PublishFiles(step.Publish{Files: func(update.Release) (fs.FS, error) { return src, nil }, Dir: dir})
	require.NoError(t, publish.Do(t.Context(), task("one", "1.0.0")))
	for name, mode := range map[string]fs.FileMode{
		".": 0o755, "bin": 0o755, "secret/a": 0o755, "page.html": 0o644, "bin/tool": 0o755, "secret/a/b.x": 0o644,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}

func TestPublishFilesTellsReleasesApartThatDifferOnlyInModes(t *testing.T) {
	src := fstest.MapFS{
		"1.0.0/tool": {Data: []byte("#!/bin/sh"), Mode: 0o644},
		"1.1.0/tool": {Data: []byte("#!/bin/sh"), Mode: 0o755},
	}
	modeOf := func(dir string) fs.FileMode {
		info, err := os.Stat(filepath.Join(dir, "tool"))
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	for _, tt := range append(crashes, crashPoint{"not at all", step.Exchange, "1.1.0", update.AppliedYes}) {
		t.Run("a crash "+tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "site")
			s := step.PublishFiles(step.Publish{Files: step.Sub(src, "{version}"), Dir: dir})
			require.NoError(t, s.Do(t.Context(), task("zero", "1.0.0")))
			tk := task("one", "1.1.0")
			_ = step.PublishBy(tt.exchange, step.Publish{Files: step.Sub(src, "{version}"), Dir: dir}).Do(t.Context(), tk)
			applied, err := s.Probe(t.Context(), tk)
			require.NoError(t, err)
			require.Equal(t, tt.applied, applied)
			for range 2 {
				require.NoError(t, s.Do(t.Context(), tk))
				require.Equal(t, fs.FileMode(0o755), modeOf(dir))
			}
			_ = step.PublishBy(tt.exchange, step.Publish{Files: step.Sub(src, "{version}"), Dir: dir}).Undo(t.Context(), tk)
			for range 2 {
				require.NoError(t, s.Undo(t.Context(), tk))
				require.Equal(t, fs.FileMode(0o644), modeOf(dir))
			}
		})
	}
}
