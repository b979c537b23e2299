//go:build linux

package process_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/procgroup"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// opened are the descriptors of a process, and what they are of.
func opened(t *testing.T, pid int) map[string]string {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil {
			all[e.Name()] = to
		}
	}
	return all
}

func TestNoDescriptorIsKept(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	open(t, process.Config{}) // what a process keeps for good is there
	before := opened(t, os.Getpid())
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("port"), 1)
	r := m.one(ready)
	require.NoError(t, syscall.Kill(m.pid(r), syscall.SIGKILL))
	m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Minute))
	m.ensure(v1, spec("passed"), 1)
	m.one(ready)
	require.NoError(t, m.d.Close())
	m.eventually(func() bool { return len(opened(t, os.Getpid())) <= len(before) }, func() any { return opened(t, os.Getpid()) })
	m.reopen()
}

func TestAProgramGetsNoDescriptorOfOthers(t *testing.T) {
	t.Parallel()
	m, v1, v2 := open(t, process.Config{}), revision("v1"), revision("v2")
	m.ensure(v1, spec("passed"), 2)
	m.ensure(v2, spec("silent"), 1)
	var pids []int
	m.eventually(func() bool {
		marks, err := procgroup.Marked("UPKEEP_INSTANCE")
		require.NoError(t, err)
		pids = nil
		for _, r := range m.all() {
			for pid, mark := range marks {
				if r.Revision == v2 && strings.HasPrefix(mark, r.ID+"@") {
					pids = append(pids, pid)
				}
			}
		}
		return len(pids) == 1
	}, func() any { return pids })
	fds := opened(t, pids[0])
	require.Equal(t, os.DevNull, fds["0"])
	require.Contains(t, fds["1"], m.config.Dir+"/logs/")
	require.Equal(t, fds["1"], fds["2"])
	require.Contains(t, fds["3"], "socket:")
	for fd, to := range fds {
		require.True(t, len(fd) == 1 && fd <= "3" || !strings.Contains(to, "socket:") && !strings.Contains(to, m.config.Dir), "%s: %s", fd, to)
	}
}

func TestAPortThatWasChosenIsTheOnlyPlaceToServe(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("port"), 1)
	before := m.one(ready)
	require.Contains(t, m.get(before, "/environment"), "LISTEN_FDS=1")
	require.NoError(t, syscall.Kill(m.pid(before), syscall.SIGKILL))
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
	require.NotContains(t, m.get(after, "/environment"), "LISTEN_FDS")
	require.True(t, after.StartedAt.After(before.StartedAt))
}

func TestAConnectionIsAnAnswerOfAPortAlone(t *testing.T) {
	t.Parallel()
	m, v1, v2 := open(t, process.Config{}), revision("v1"), revision("v2")
	s := spec("port")
	s.Health = &rollout.Health{TCP: true}
	m.ensure(v1, s, 1)
	r := m.one(ready)
	require.Equal(t, "port", m.get(r, "/"))
	require.NoError(t, m.d.Stop(t.Context(), v1, []string{r.ID}, time.Minute))
	s = spec("silent") // whose listener accepts by itself
	s.Health = &rollout.Health{TCP: true}
	m.ensure(v2, s, 1)
	require.Equal(t, rollout.ReplicaStarting, m.one(func(r rollout.Replica) bool { return r.Failure != "" }).State)
}

func TestADelayIsOfWhatIsStarted(t *testing.T) {
	t.Parallel()
	m, s := open(t, process.Config{}), spec("passed")
	s.Health = &rollout.Health{Delay: 300 * time.Millisecond}
	begun := time.Now()
	m.ensure(revision("v1"), s, 1)
	r := m.one(ready)
	require.GreaterOrEqual(t, time.Since(begun), s.Health.Delay)
	pid := m.pid(r)
	require.NoError(t, m.d.Close())
	i := m.instances()[0]
	i.Spec.Health.Delay = time.Hour
	require.NoError(t, m.config.Store.Instances(m.host()).Put(t.Context(), i))
	m.reopen()
	m.one(ready) // which has been running
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	m.one(func(r rollout.Replica) bool {
		return r.Restarts == 1 && r.State == rollout.ReplicaStarting && r.Failure != ""
	})
}
