//go:build linux

package process_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/procgroup"
)

// alive reports whether a process runs, and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// listenerAt is the number of the socket that listens at an endpoint.
func listenerAt(t testing.TB, endpoint string) (inode string) {
	t.Helper()
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	for _, s := range tcpSockets(t) {
		if s[1] == fmt.Sprintf("0100007F:%04X", port) && s[3] == "0A" { // it listens
			return s[9]
		}
	}
	require.Fail(t, "nobody listens", endpoint)
	return ""
}

// closes waits until nobody has a socket any more, such as a process that is just
// being started. Its port may be another's by then.
func (m *machine) closes(inode string) {
	m.Helper()
	m.eventually(func() bool {
		return !slices.ContainsFunc(tcpSockets(m), func(s []string) bool { return s[9] == inode })
	}, func() any { return "socket " + inode + " is open" })
}

// tcpSockets are the lines of /proc/net/tcp, in their fields.
func tcpSockets(t testing.TB) (all [][]string) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(t, err)
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 11 && fields[0] != "sl" {
			all = append(all, fields)
		}
	}
	return all
}

// listener listens on a port that nobody gets who lets the system choose.
func listener(t testing.TB) (l net.Listener, port int) {
	t.Helper()
	for {
		port = 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			return l, port
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	}
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

// sweep ends, after a test, what is marked as of a Deployer's folder, each by its
// number.
func sweep(t testing.TB, dir string) {
	t.Cleanup(func() {
		for pid := range marked(t, dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
}

// slay kills a process, if it has not ended, and returns when it has, with all it
// had open.
func slay(t testing.TB, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	require.NoError(t, err)
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); !errors.Is(err, unix.ESRCH) {
		require.NoError(t, err)
	}
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
