package sync_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// ofDir is the engine of a Folder with notes of its own.
func ofDir(w *world, files *cloudsync.LocalFiles, known map[string][]byte) *cloudsync.Engine {
	return cloudsync.NewEngine(cloudsync.EngineConfig{
		Device: "A", Files: files, Remote: use{w.cloud, new(process)}, Store: &notes{known, new(process)}, Sealer: plain{}, Parallel: 1,
	})
}

func TestOfTwoFoldersOfOneDirectoryOneWorksAtATime(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "a"), []byte("1"), 0o600))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		one, two := cloudsync.Dir(path), cloudsync.Dir(path)
		first, second := ofDir(w, one, make(map[string][]byte)), ofDir(w, two, make(map[string][]byte))
		caps, err := one.Caps(t.Context())
		require.NoError(t, err)
		release, err := caps.Claim(t.Context())
		require.NoError(t, err)
		puts := w.cloud.puts
		for name, call := range map[string]func() error{
			"sync":    func() error { _, err := second.Sync(t.Context(), cloudsync.Request{}); return err },
			"restore": func() error { _, err := second.Restore(t.Context(), cloudsync.RestoreRequest{Commit: "1"}); return err },
			"resolve": func() error {
				return second.Resolve(t.Context(), cloudsync.Conflict{Path: "a", Copy: "a (conflict 12345678)"}, cloudsync.KeepBoth)
			},
		} {
			err = call()
			require.ErrorIs(t, err, cloudsync.ErrBusy, name)
			require.ErrorContains(t, err, "another Folder is at work in this directory")
		}
		require.Equal(t, puts, w.cloud.puts)
		time.AfterFunc(time.Second, func() { _ = release() })
		_, err = second.Sync(t.Context(), cloudsync.Request{})
		require.NoError(t, err, "it waits for a moment")
		_, err = first.Sync(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		for f, err := range two.List(t.Context(), cloudsync.Staging) {
			require.NoError(t, err)
			require.Equal(t, cloudsync.Staging+"/equals", f.Path)
		}
		require.NoError(t, errors.Join(one.Close(), two.Close()))
	})
}
