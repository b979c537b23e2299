//go:build linux

package process_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestWhatIsLeftInTheControlGroupOfAReplicaIsEnded(t *testing.T) {
	dir := controlGroup(t)
	group := filepath.Join(dir, "replica")
	require.NoError(t, os.Mkdir(group, 0o755))
	left := exec.Command("/bin/sh", "-c", "while :; do /bin/sleep 1; done")
	require.NoError(t, left.Start())
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	t.Cleanup(func() { _ = left.Process.Kill() })
	require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(left.Process.Pid)), 0))
	require.NoError(t, process.RemoveGroup(t.Context(), dir, "replica"))
	require.ErrorContains(t, <-ended, "killed")
	require.NoDirExists(t, group)
	require.NoError(t, process.RemoveGroup(t.Context(), dir, "replica"), "twice")
}

// controlGroup makes a group of the system, version 2, if that lets it.
func controlGroup(t *testing.T) string {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			continue
		}
		dir := filepath.Join(root, "upkeep-test-"+rand.Text())
		if err := os.Mkdir(dir, 0o755); err == nil {
			t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
			return dir
		}
	}
	root := t.TempDir()
	if err := unix.Mount("none", root, "cgroup2", 0, ""); err == nil {
		t.Cleanup(func() { require.NoError(t, unix.Unmount(root, 0)) })
		dir := filepath.Join(root, "upkeep-test-"+rand.Text())
		require.NoError(t, os.Mkdir(dir, 0o755))
		t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
		return dir
	}
	needstest.Tool(t, "the right to make a control group, version 2", false)
	return ""
}
