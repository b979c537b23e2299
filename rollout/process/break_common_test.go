//go:build linux

package process_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/procgroup"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// full is for a test that takes long, or has a short form.
func full() bool { return os.Getenv("UPKEEP_FULL") == "1" }

// long leaves a test out that takes long.
func long(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("it takes long: UPKEEP_FULL=1")
	}
}

// breakable is a machine after which nothing runs on that it has started,
// whatever has failed.
func breakable(t testing.TB, config process.Config) *machine {
	t.Helper()
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	sweeping(t, config.Dir)
	return open(t, config)
}

// sweeping ends, after a test, what is marked as of a Deployer's folder, each by
// its number.
func sweeping(t testing.TB, dir string) {
	t.Cleanup(func() {
		for pid := range marked(t, dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
}

// marked are the processes of a Deployer's folder that run, and whose they are.
func marked(t testing.TB, dir string) map[int]string {
	t.Helper()
	marks, err := procgroup.Marked("UPKEEP_INSTANCE")
	require.NoError(t, err)
	for pid, value := range marks {
		if !strings.HasSuffix(value, "@"+dir) || !alive(pid) {
			delete(marks, pid)
		}
	}
	return marks
}

// slain kills a process, and returns when it has ended, with all it had open.
func slain(t testing.TB, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if err != nil && !errors.Is(err, unix.EINTR) {
			require.NoError(t, err)
		}
		if n > 0 {
			return
		}
	}
	require.Fail(t, "it does not end", "%d", pid)
}

// descriptors are those that a process has open.
func descriptors(t testing.TB, pid int) map[int]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	open := map[int]string{}
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			n, err := strconv.Atoi(e.Name())
			require.NoError(t, err)
			open[n] = to
		}
	}
	return open
}

// script is the content of a service that /bin/sh prepares and then is.
func script(before string) rollout.Spec {
	s := spec("passed")
	s.Command = []string{"/bin/sh", "-c", before + ` exec "$0"`, os.Args[0]}
	return s
}

// named waits for the replica of a revision that is as wanted.
func (m *machine) named(id rollout.RevisionID, wanted func(rollout.Replica) bool) (r rollout.Replica) {
	m.Helper()
	m.eventually(func() bool {
		all, err := m.d.Observe(m.Context(), id.Service)
		require.NoError(m, err)
		for _, one := range all {
			if one.Revision == id && wanted(one) {
				r = one
				return true
			}
		}
		return false
	}, func() any { all, _ := m.d.Observe(m.Context(), id.Service); return all })
	return r
}

// stop stops the one replica there is.
func (m *machine) stop(r rollout.Replica, grace time.Duration) {
	m.Helper()
	require.NoError(m, m.d.Stop(m.Context(), r.Revision, []string{r.ID}, grace))
}
