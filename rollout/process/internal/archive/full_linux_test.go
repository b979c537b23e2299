package archive_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
)

func TestAFullDiskIsAnErrorAndLeavesNothing(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		noise := make([]byte, 3<<20)
		_, _ = rand.Read(noise)
		for name, data := range map[string][]byte{
			"while it fetches": tarred(t, file("x", string(noise)), file("y", string(noise))),
			"while it unpacks": tarred(t, file("x", string(noise))),
		} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				mounttest.Mount(t, "none", dir, "tmpfs", 0, "size=5m")
				s := shelfIn(t, dir, archive.Config{Client: offer(t, data)})
				_, err := s.Get(t.Context(), archiveOf(data))
				require.ErrorIs(t, err, syscall.ENOSPC)
				require.NotErrorIs(t, err, rollout.ErrInvalid)
				require.Empty(t, names(t, dir))
				require.NoError(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=50m"))
				got, err := s.Get(t.Context(), archiveOf(data))
				require.NoError(t, err)
				require.Equal(t, []string{got}, names(t, dir))
			})
		}
	})
}

func TestPruneLeavesAFolderOnWhichSomethingIsMounted(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		data := tarred(t, file("x", ""), folder("photos"))
		s, dir := shelfOf(t, archive.Config{Client: offer(t, data)})
		got, err := s.Get(t.Context(), archiveOf(data))
		require.NoError(t, err)
		volume := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(volume, "photo"), nil, 0o600))
		mounttest.Bind(t, volume, filepath.Join(dir, got, "photos"))
		require.ErrorIs(t, s.Prune(func([]byte) bool { return false }), remove.ErrMounted)
		require.FileExists(t, filepath.Join(dir, got, "x"), "it is whole")
		require.FileExists(t, filepath.Join(volume, "photo"))
	})
}
