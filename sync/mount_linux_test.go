package sync_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/mounttest"
)

// TestWhatIsMountedInAFolderStopsNothingElse: what is staged cannot be renamed into
// another file system.
func TestWhatIsMountedInAFolderStopsNothingElse(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		at := t.TempDir()
		in := func(names ...string) string { return filepath.Join(append([]string{at}, names...)...) }
		write := func(name, content string) { require.NoError(t, os.WriteFile(name, []byte(content), 0o600)) }
		for _, d := range []string{"cloud", "a/volume/d", "b", "disk/d"} {
			require.NoError(t, os.MkdirAll(in(d), 0o755))
		}
		write(in("a/volume/x"), "text")
		write(in("a/volume/gone"), "text")
		write(in("a/volume/d/y"), "text")
		both := func() {
			t.Helper()
			require.NoError(t, syncOnce(t.Context(), at, "a"))
			require.NoError(t, syncOnce(t.Context(), at, "b"))
		}
		both()
		for _, name := range []string{"x", "gone", "d/y"} {
			write(in("disk", name), "text")
		}
		mounttest.Bind(t, in("disk"), in("b/volume"))
		both()

		write(in("a/volume/x"), "text of a")
		write(in("a/volume/new"), "text of a")
		require.NoError(t, os.Remove(in("a/volume/gone")))
		for _, name := range []string{"first", "second"} {
			write(in("a", name), name)
			both()
			require.FileExists(t, in("b", name))
		}
		write(in("b/volume/x"), "text of b")
		require.NoError(t, os.RemoveAll(in("a/volume/d")))
		for _, name := range []string{"third", "fourth"} {
			write(in("a", name), name)
			write(in("b", name+" of b"), name)
			both()
			require.FileExists(t, in("b", name))
		}
		require.NoError(t, syncOnce(t.Context(), at, "a"))
		require.FileExists(t, in("a/fourth of b"))
		text, err := os.ReadFile(in("b/volume/x"))
		require.NoError(t, err)
		require.Equal(t, "text of b", string(text))
	})
}
