package step_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestClearDirEmptiesAFolderAndKeepsIt(t *testing.T) {
	home := t.TempDir()
	cache, outside := filepath.Join(home, "cache"), filepath.Join(home, "outside")
	require.NoError(t, os.MkdirAll(filepath.Join(cache, "a/b"), 0o755))
	require.NoError(t, os.MkdirAll(outside, 0o755))
	for _, path := range []string{"cache/page", "cache/a/b/page", "outside/page"} {
		require.NoError(t, os.WriteFile(filepath.Join(home, path), nil, 0o600))
	}
	require.NoError(t, os.Symlink(outside, filepath.Join(cache, "link")))
	require.NoError(t, os.Symlink("../../outside", filepath.Join(cache, "a/link")))
	before, err := os.Stat(cache)
	require.NoError(t, err)

	_, err = install(t.Context(), newUpdater(t, step.ClearDir(cache)), "1.0.0")
	require.NoError(t, err)
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Empty(t, entries)
	after, err := os.Stat(cache)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.FileExists(t, filepath.Join(outside, "page"), "links are not followed")
}

func TestClearDirForgetsAReleaseThatIsTakenBack(t *testing.T) {
	cache := t.TempDir()
	page := filepath.Join(cache, "page")
	u := newUpdater(t, step.ClearDir(cache), update.Step{Name: "health", Do: func(context.Context, *update.Task) error {
		return errors.Join(os.WriteFile(page, []byte("of the new release"), 0o600), errors.New("not well"))
	}})
	_, err := install(t.Context(), u, "1.0.0")
	require.ErrorIs(t, err, update.ErrFailed)
	require.NoFileExists(t, page)
	require.DirExists(t, cache)
}

func TestClearDirTakesAMissingFolderForAnEmptyOne(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	_, err := install(t.Context(), newUpdater(t, step.ClearDir(cache)), "1.0.0")
	require.NoError(t, err)
	require.NoDirExists(t, cache)
}

func TestClearDirRefusesWhatNobodyMeansToEmpty(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	work := filepath.Join(t.TempDir(), "work")
	for _, dir := range []string{filepath.Join(home, "cache"), filepath.Join(work, "cache")} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Chdir(work)
	link, file := filepath.Join(home, "link"), filepath.Join(home, "file")
	require.NoError(t, os.Symlink(home, link))
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Dir(home), filepath.Join(work, "up")))

	for dir, message := range map[string]string{
		"":                          "no folder to clear",
		"/":                         "refusing to clear",
		".":                         "refusing to clear",
		"..":                        "refusing to clear",
		"cache/..":                  "refusing to clear",
		work:                        "refusing to clear",
		home:                        "refusing to clear",
		filepath.Dir(home):          "refusing to clear",
		home + "/cache/../":         "refusing to clear",
		filepath.Join("up", "home"): "refusing to clear",
		link:                        "is not a folder",
		file:                        "is not a folder",
	} {
		s := step.ClearDir(dir)
		require.ErrorContains(t, s.Check(t.Context(), task("one", "1.0.0")), message, dir)
		require.ErrorContains(t, s.Do(t.Context(), task("one", "1.0.0")), message, dir)
	}
	require.FileExists(t, file)
	require.NoError(t, step.ClearDir("cache").Check(t.Context(), task("one", "1.0.0")))
	require.NoError(t, step.ClearDir(filepath.Join(home, "cache")).Check(t.Context(), task("one", "1.0.0")))
}

func TestClearDirStopsWhenItIsCancelled(t *testing.T) {
	cache := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(cache, "page"), nil, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, step.ClearDir(cache).Do(ctx, task("one", "1.0.0")), context.Canceled)
	require.FileExists(t, filepath.Join(cache, "page"))
}
