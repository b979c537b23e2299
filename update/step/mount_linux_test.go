package step_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// volume makes a folder with a photo.
func volume(t *testing.T) (dir, photo string) {
	dir = filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.Mkdir(dir, 0o755))
	photo = filepath.Join(dir, "photo")
	require.NoError(t, os.WriteFile(photo, nil, 0o600))
	return dir, photo
}

func TestClearDirNeverEmptiesWhatIsMountedInIt(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		vol, photo := volume(t)
		for _, name := range []string{"cache", "cache/uploads", "cache/a b/uploads"} {
			t.Run(name, func(t *testing.T) {
				home := t.TempDir()
				cache, point := filepath.Join(home, "cache"), filepath.Join(home, name)
				require.NoError(t, os.MkdirAll(point, 0o755))
				s := step.ClearDir(cache)
				require.NoError(t, s.Check(t.Context(), task("one", "1.0.0")))
				mounttest.Bind(t, vol, point)
				for _, f := range []func(context.Context, *update.Task) error{s.Check, s.Do, s.Undo} {
					require.ErrorContains(t, f(t.Context(), task("one", "1.0.0")), "mounted")
					require.FileExists(t, photo)
				}
			})
		}
	})
}
