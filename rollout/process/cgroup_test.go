//go:build linux

package process_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// cgroupFolder stands for one of the system, which makes the files of a group
// together with its folder: that of the replica is made when the test asks.
func cgroupFolder(t *testing.T, controllers string) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": controllers + "\n", "cgroup.subtree_control": "", "cgroup.procs": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func limited(cpu float64, memory int64) rollout.Spec {
	s := spec("passed")
	s.CPU, s.Memory = &cpu, &memory
	return s
}

// A program may run in another folder than this one.
func TestAControlGroupMayBeGivenByARelativePath(t *testing.T) {
	dir := cgroupFolder(t, "memory")
	t.Chdir(filepath.Dir(dir))
	m := open(t, process.Config{Cgroup: filepath.Base(dir)})
	t.Chdir("/")
	s := limited(1, 64<<20)
	s.Command[0] = "/proc/" + strconv.Itoa(os.Getpid()) + "/exe"
	m.ensure(revision("v1"), s, 1)
	r := m.one(func(r rollout.Replica) bool { return strings.Contains(r.Failure, "the limits cannot be set") })
	for _, name := range []string{"cgroup.procs", "memory.max"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, r.ID, name), nil, 0o600))
	}
	m.one(ready)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, r.ID)))
}

func TestLimitsAreThoseOfAControlGroup(t *testing.T) {
	t.Parallel()
	dir := cgroupFolder(t, "cpuset cpu memory pids")
	m := open(t, process.Config{Cgroup: dir})
	left, err := m.d.Check(t.Context(), revision("v1"), limited(0.5, 64<<20))
	require.NoError(t, err)
	require.Empty(t, left)
	m.ensure(revision("v1"), limited(0.5, 64<<20), 1)
	r := m.one(func(r rollout.Replica) bool { return strings.Contains(r.Failure, "the limits cannot be set") })
	for _, name := range []string{"cgroup.procs", "cpu.max", "memory.max"} { // as the system does, and the first before a shell does
		require.NoError(t, os.WriteFile(filepath.Join(dir, r.ID, name), nil, 0o600))
	}
	r = m.one(ready)
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, r.ID, name))
		require.NoError(t, err)
		return strings.TrimSpace(string(b))
	}
	require.Equal(t, "50000 100000", text("cpu.max"))
	require.Equal(t, strconv.Itoa(64<<20), text("memory.max"))
	require.Equal(t, strconv.Itoa(m.pid(r)), text("cgroup.procs"), "it is in the group before its program runs")
	for _, name := range []string{"cpu.max", "memory.max", "cgroup.procs"} {
		require.NoError(t, os.Remove(filepath.Join(dir, r.ID, name)))
	}
	require.NoError(t, m.d.Stop(t.Context(), revision("v1"), []string{r.ID}, 0))
	require.NoDirExists(t, filepath.Join(dir, r.ID))
}

func TestALimitThatIsNotEnforcedIsSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cgroup string
		left   []string
	}{{"", []string{"CPU", "Memory"}}, {cgroupFolder(t, "memory pids"), []string{"CPU"}}, {cgroupFolder(t, ""), []string{"CPU", "Memory"}}} {
		m := open(t, process.Config{Cgroup: tt.cgroup})
		left, err := m.d.Check(t.Context(), revision("v1"), limited(1, 1<<20))
		require.NoError(t, err)
		require.Equal(t, tt.left, left)
	}
	_, err := process.Open(process.Config{Dir: t.TempDir(), Store: open(t, process.Config{}).config.Store, Cgroup: t.TempDir()})
	require.ErrorContains(t, err, "Config.Cgroup")
}

// busy is a service that computes for a tenth of its time.
func busy() error {
	go func() {
		for n := 0; ; n++ {
			for begun := time.Now(); time.Since(begun) < 5*time.Millisecond; {
				runtime.KeepAlive(n)
			}
			time.Sleep(45 * time.Millisecond)
		}
	}()
	return serves(process.Listener)
}

func TestWhatAGroupUsesIsSeen(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("busy"), 1)
	m.one(ready)
	r := m.one(func(r rollout.Replica) bool { return r.CPU > 0.01 })
	require.Greater(t, r.Memory, int64(1<<20))
}
