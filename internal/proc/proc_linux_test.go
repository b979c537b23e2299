package proc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proc"
)

// hangs is how long a test waits for another process: it tells what hangs from
// a machine that is busy.
const hangs = 3 * time.Minute

// start runs a script of the shell, which is killed and waited for when the
// test is over.
func start(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func of(t *testing.T, pid int) proc.ID {
	t.Helper()
	id, err := proc.Of(pid)
	require.NoError(t, err)
	return id
}

func TestThisProcessLives(t *testing.T) {
	self := proc.Self()
	require.Equal(t, os.Getpid(), self.PID)
	require.Equal(t, proc.BootID(), self.Boot)
	require.NotEmpty(t, self.Boot)
	require.Equal(t, self, of(t, os.Getpid()))
	require.False(t, self.Ended())
	read, err := proc.ParseID(self.String())
	require.NoError(t, err)
	require.Equal(t, self, read)
}

func TestNoProcessIsTakenForAnother(t *testing.T) {
	child := of(t, start(t, "exec sleep 600").Process.Pid)
	require.False(t, child.Ended())
	for _, id := range []proc.ID{proc.Self(), child} {
		require.NotEqual(t, "1", id.Start)
		tests := []struct {
			name   string
			change func(*proc.ID)
			ended  bool
		}{
			{"its pid was given to another", func(id *proc.ID) { id.Start = "1" }, true},
			{"it was of another boot", func(id *proc.ID) { id.Boot = "another" }, true},
			{"it was of another boot and namespace", func(id *proc.ID) { id.Boot, id.Namespace = "another", "pid:[1]" }, true},
			{"nobody has its pid", func(id *proc.ID) { id.PID = 4194304 }, true}, // the limit of Linux, which none gets
			{"its boot is not known", func(id *proc.ID) { id.Boot = "" }, false},
			{"it is of another namespace", func(id *proc.ID) { id.Namespace = "pid:[1]" }, false},
			{"it is of another namespace, where others have pids", func(id *proc.ID) { id.Namespace, id.PID = "pid:[1]", 4194304 }, false},
			{"it never had a pid", func(id *proc.ID) { id.PID = -1 }, false},
		}
		for _, tt := range tests {
			other := id
			tt.change(&other)
			require.NotEqual(t, id, other)
			require.Equal(t, tt.ended, other.Ended(), tt.name)
		}
	}
}

func TestAZombieHasEnded(t *testing.T) {
	cmd := start(t, "exit 0")
	child := of(t, cmd.Process.Pid)
	require.Eventually(t, child.Ended, hangs, time.Millisecond)
	require.NoError(t, syscall.Kill(cmd.Process.Pid, 0), "it is still there")
	require.Equal(t, child, of(t, cmd.Process.Pid))

	require.NoError(t, cmd.Wait())
	require.True(t, child.Ended())
	_, err := proc.Of(cmd.Process.Pid)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAProcessThatExecutesAnotherProgramStaysTheSame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	cmd := start(t, "until [ -e '"+file+"' ]; do sleep 0.01; done; exec sleep 600")
	before := of(t, cmd.Process.Pid)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Eventually(t, func() bool {
		name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "comm"))
		return err == nil && strings.TrimSpace(string(name)) == "sleep"
	}, hangs, time.Millisecond)
	require.Equal(t, before, of(t, cmd.Process.Pid))
}

func TestTheUsageOfABusyGroupGrows(t *testing.T) {
	group := func(script string) int {
		cmd := exec.Command("sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	busy, idle := group("(while :; do :; done) & exec sleep 600"), group("exec sleep 600")
	var last time.Duration
	for range 3 {
		require.Eventually(t, func() bool {
			groups, err := proc.Groups()
			require.NoError(t, err)
			require.Less(t, groups[busy].Memory, int64(1<<30))
			require.Less(t, groups[idle].CPU, time.Second)
			grown := groups[busy].CPU > last && groups[busy].Memory > groups[idle].Memory
			last = max(last, groups[busy].CPU)
			return grown
		}, hangs, time.Millisecond)
	}
}

func TestAProcessSaysWhenItBegan(t *testing.T) {
	before := time.Now()
	id := of(t, start(t, "exec sleep 600").Process.Pid)
	require.WithinRange(t, id.StartedAt(), before.Add(-100*time.Millisecond), time.Now().Add(100*time.Millisecond))
}

func TestAGroupIsItsProcesses(t *testing.T) {
	leader := exec.Command("sh", "-c", "exec sleep 600")
	leader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, leader.Start())
	other := exec.Command("sh", "-c", "exec sleep 600")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: leader.Process.Pid}
	err := other.Start()
	t.Cleanup(func() {
		for _, cmd := range []*exec.Cmd{leader, other} {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	require.NoError(t, err)
	group := func() []int {
		pids, err := proc.Group(leader.Process.Pid)
		require.NoError(t, err)
		return pids
	}
	require.ElementsMatch(t, []int{leader.Process.Pid, other.Process.Pid}, group())
	require.NoError(t, leader.Process.Kill())
	require.Eventually(t, func() bool { return slices.Equal(group(), []int{other.Process.Pid}) }, hangs, time.Millisecond, "a zombie is none of them")
	pids, err := proc.Group(other.Process.Pid)
	require.NoError(t, err)
	require.Empty(t, pids, "it leads none")
}
