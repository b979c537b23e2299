//go:build linux

package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// takes is what a service starts that asks for its listener too.
func takes() error {
	l, err := process.Listener()
	if err != nil {
		return err
	}
	fmt.Println("child listens on", l.Addr())
	time.Sleep(time.Hour)
	return nil
}

func TestNoDescriptorIsKept(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	open(t, process.Config{}) // what a process keeps for good is there
	before := descriptors(t, os.Getpid())
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("port"), 1)
	r := m.one(ready)
	require.NoError(t, syscall.Kill(m.pid(r), syscall.SIGKILL))
	m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Minute))
	m.ensure(v1, spec("passed"), 1)
	m.one(ready)
	require.NoError(t, m.d.Close())
	m.eventually(func() bool { return len(descriptors(t, os.Getpid())) <= len(before) }, func() any { return descriptors(t, os.Getpid()) })
	m.reopen()
}

// circus-tent/circus#67 and Supervisor/supervisor#184: each start, and each stop,
// costs a descriptor.
func TestStartsAndStopsCostNoDescriptors(t *testing.T) {
	m, v1 := open(t, process.Config{}), revision("v1")
	round := func() {
		m.ensure(v1, spec("exits"), 2)
		m.eventually(func() bool { n, _ := m.restarts(); return n >= 4 }, func() any { return m.all() })
		for _, r := range m.all() {
			m.stop(r, 0)
		}
		m.ensure(v1, spec("passed"), 1)
		m.again(m.one(ready))
		m.reopen()
		m.stop(m.one(ready), time.Second)
	}
	round()
	before := descriptors(t, os.Getpid())
	round()
	m.eventually(func() bool { return len(descriptors(t, os.Getpid())) <= len(before)+2 }, // of connections that are just being closed
		func() any { return fmt.Sprint(before, " and then ", descriptors(t, os.Getpid())) })
}

func TestAProgramGetsNoDescriptorOfOthers(t *testing.T) {
	t.Parallel()
	m, v1, v2 := open(t, process.Config{}), revision("v1"), revision("v2")
	m.ensure(v1, spec("passed"), 2)
	m.ensure(v2, spec("silent"), 1)
	var pids []int
	m.eventually(func() bool {
		pids = nil
		for _, r := range m.all() {
			for pid, mark := range marked(t, m.config.Dir) {
				if r.Revision == v2 && strings.HasPrefix(mark, r.ID+"@") {
					pids = append(pids, pid)
				}
			}
		}
		return len(pids) == 1
	}, func() any { return pids })
	fds := descriptors(t, pids[0])
	require.Equal(t, os.DevNull, fds[0])
	require.Contains(t, fds[1], m.config.Dir+"/logs/")
	require.Equal(t, fds[1], fds[2])
	require.Contains(t, fds[3], "socket:")
	for fd, to := range fds {
		require.True(t, fd <= 3 || !strings.Contains(to, "socket:") && !strings.Contains(to, m.config.Dir), "%d: %s", fd, to)
	}
}

// Supervisor/supervisor#1440: files of the supervisor leak into what it starts.
func TestAServiceHasNothingOfItsDeployersOpen(t *testing.T) {
	t.Parallel()
	lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	require.NoError(t, err)
	defer lock.Close()
	held, err := unix.FcntlInt(lock.Fd(), unix.F_DUPFD, 100) // as of a script that has started this program
	require.NoError(t, err)
	defer unix.Close(held)
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("passed"), 2)
	m.eventually(func() bool { _, well := m.restarts(); return well == 2 }, func() any { return m.all() })
	for _, r := range m.all() {
		pid := m.pid(r)
		open := descriptors(t, pid)
		require.Equal(t, os.DevNull, open[0])
		require.True(t, strings.HasPrefix(open[1], m.config.Dir+"/logs/"), open[1])
		require.Equal(t, open[1], open[2])
		for fd, to := range open {
			require.NotEqual(t, lock.Name(), to)
			info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
			if err != nil || fd < 4 || to == os.DevNull {
				continue // just closed, passed on, or a shell's
			}
			flags, err := strconv.ParseInt(regexp.MustCompile(`flags:\s+(\d+)`).FindStringSubmatch(string(info))[1], 8, 64)
			require.NoError(t, err)
			require.NotZero(t, flags&unix.O_CLOEXEC, "%d, %s, was there when it began", fd, to)
		}
	}
}

// dotnet/aspnetcore#29189 and systemd/systemd#36899: the listener of a service
// reaches its children, which take it for theirs.
func TestAChildDoesNotTakeTheListener(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	s := script(`UPKEEP_TEST_ROLE="child that takes" "$0" &`)
	m.ensure(v1, s, 1)
	r := m.one(ready)
	m.eventually(func() bool { return strings.Contains(m.output(v1), "child listens on") }, func() any { return m.output(v1) })
	require.NotContains(t, m.output(v1), "child listens on "+strings.TrimPrefix(r.Endpoint, "http://")+"\n")
	for range 20 {
		require.Equal(t, "passed", m.get(r, "/"))
	}
	m.stop(r, 100*time.Millisecond)
	require.Empty(t, marked(t, m.config.Dir))
}
