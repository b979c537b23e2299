package dir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/dir"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

func remotesIn(t testing.TB, path string) *dir.Remotes {
	t.Helper()
	all, err := dir.OpenRemotes(dir.Config{Path: path})
	require.NoError(t, err)
	return all
}

func TestRemotes(t *testing.T) {
	paths := map[cloudsync.Remotes]string{}
	syncertest.RunRemotes(t, syncertest.RemotesHarness{
		Open: func(t testing.TB) cloudsync.Remotes {
			path := filepath.Join(t.TempDir(), "remotes")
			all := remotesIn(t, path)
			paths[all] = path
			return all
		},
		Again:    func(t testing.TB, first cloudsync.Remotes) cloudsync.Remotes { return remotesIn(t, paths[first]) },
		RealTime: true,
	})
}

// TestARemoteOfManyKeepsAllPromises is of one that was made by name.
func TestARemoteOfManyKeepsAllPromises(t *testing.T) {
	paths := map[cloudsync.Remote]string{}
	open := func(t testing.TB, path string) cloudsync.Remote {
		r, err := remotesIn(t, path).Open(t.Context(), "Notes")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		paths[r] = path
		return r
	}
	syncertest.RunRemote(t, syncertest.RemoteHarness{
		Open: func(t testing.TB) cloudsync.Remote {
			path := t.TempDir()
			require.NoError(t, remotesIn(t, path).Create(t.Context(), "Notes"))
			return open(t, path)
		},
		Again:    func(t testing.TB, first cloudsync.Remote) cloudsync.Remote { return open(t, paths[first]) },
		RealTime: true,
	})
}

func TestFoldersAreSpeltForAnySystem(t *testing.T) {
	path := t.TempDir()
	all := remotesIn(t, path)
	for _, name := range []string{"NUL", "a:b", "..", "工作笔记", strings.Repeat("字", 21)} {
		require.NoError(t, all.Create(t.Context(), name))
	}
	require.NoError(t, filepath.WalkDir(path, func(at string, _ os.DirEntry, err error) error {
		require.NoError(t, err)
		if at != path {
			require.Empty(t, strings.Trim(filepath.Base(at), "0123456789abcdefghijklmnopqrstuv"))
			require.LessOrEqual(t, len(filepath.Base(at)), 101)
		}
		return nil
	}))
}

func TestWhatIsNoRemoteIsNotListed(t *testing.T) {
	path := t.TempDir()
	all := remotesIn(t, path)
	require.NoError(t, all.Create(t.Context(), "notes"))
	for _, folder := range []string{"+new-1/dhnm8pbj", "lost+found", "c5h66", "DHNM8PBJ", "dhnm8/c4", "0"} {
		require.NoError(t, os.MkdirAll(filepath.Join(path, folder), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(path, "c4"), nil, 0o600))
	var names []string
	for name, err := range all.List(t.Context()) {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"notes"}, names)
}

func TestWhatAKilledProcessHasHalfRemovedGoesWithTheNext(t *testing.T) {
	path := t.TempDir()
	all := remotesIn(t, path)
	require.NoError(t, os.MkdirAll(filepath.Join(path, "+old-1", "x", "y"), 0o700))
	require.NoError(t, all.Remove(t.Context(), "another"))
	left, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestWhatAKilledProcessHasHalfMadeGoesADayLater(t *testing.T) {
	path := t.TempDir()
	all := remotesIn(t, path)
	for name, age := range map[string]time.Duration{"+new-OLD": 25 * time.Hour, "+new-NEW": 23 * time.Hour, "other": 25 * time.Hour} {
		name = filepath.Join(path, name)
		require.NoError(t, os.MkdirAll(filepath.Join(name, "x"), 0o700))
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(name, at, at))
	}
	require.NoError(t, all.Create(t.Context(), "notes"))
	require.NoDirExists(t, filepath.Join(path, "+new-OLD"))
	require.DirExists(t, filepath.Join(path, "+new-NEW", "x"))
	require.DirExists(t, filepath.Join(path, "other", "x"))
}

func TestRemotesNeedAPath(t *testing.T) {
	_, err := dir.OpenRemotes(dir.Config{})
	require.ErrorIs(t, err, cloudsync.ErrInvalid)
	require.ErrorContains(t, err, "Path")
	_, err = dir.OpenRemotes(dir.Config{Path: filepath.Join(t.TempDir(), "missing", "remotes")})
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
}
