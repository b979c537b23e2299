package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/needstest"
)

// loopDevice makes a block device of a file with a file system.
func loopDevice(t *testing.T, size int64) string {
	t.Helper()
	if _, err := os.Stat("/dev/loop-control"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this machine has no loop devices: there is no /dev/loop-control") // nothing that could be installed brings them
	}
	file := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Truncate(file, size))
	err := exec.Command("mkfs.ext4", "-q", file).Run()
	needstest.Tool(t, "mkfs.ext4 (e2fsprogs)", err == nil)
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	needstest.Tool(t, "root, and loop devices by losetup (mount)", err == nil)
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { require.NoError(t, exec.Command("losetup", "--detach", device).Run()) })
	return device
}

func TestADeviceThatIsMountedIsRefused(t *testing.T) {
	const size = 4 << 20
	device, dir := loopDevice(t, size), t.TempDir()
	err := syscall.Mount(device, dir, "ext4", 0, "")
	needstest.Tool(t, "root, which may mount", err == nil)
	mounted := true
	defer func() {
		if mounted {
			_ = syscall.Unmount(dir, 0)
		}
	}()
	_, err = durable.OpenRegion(device, true)
	require.ErrorIs(t, err, syscall.EBUSY)
	require.NoError(t, syscall.Unmount(dir, 0))
	mounted = false

	r, err := durable.OpenRegion(device, true)
	require.NoError(t, err)
	require.Equal(t, int64(size), r.Size())
	_, err = r.WriteAt([]byte("end"), size-3)
	require.NoError(t, err)
	_, err = r.WriteAt([]byte("more"), size-3)
	require.ErrorContains(t, err, "do not fit")
	require.NoError(t, r.Sync())
	require.ErrorIs(t, syscall.Mount(device, dir, "ext4", 0, ""), syscall.EBUSY, "nobody mounts what is being written")
	require.NoError(t, r.Close())
}
