//go:build linux

package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proc"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestAServiceOutlivesItsDeployer(t *testing.T) {
	t.Parallel()
	for _, play := range []string{"passed", "port"} {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			m, v1 := open(t, process.Config{}), revision("v1")
			m.ensure(v1, spec(play), 1)
			before := m.one(ready)
			pid, answered := m.pid(before), time.Now()
			require.NoError(t, m.d.Close())
			require.Equal(t, play, m.get(before, "/"), "it goes on")
			m.reopen()
			after := m.one(ready)
			require.Equal(t, before.ID, after.ID)
			require.Equal(t, before.Endpoint, after.Endpoint)
			require.Equal(t, pid, m.pid(after))
			require.Zero(t, after.Restarts)
			require.WithinRange(t, after.StartedAt, before.StartedAt.Add(-100*time.Millisecond), answered)
			m.ensure(v1, spec(play), 1)
			require.Len(t, m.all(), 1, "it is not started again")
			m.post(after, "/print", "still printing")
			m.eventually(func() bool { return strings.Contains(m.output(v1), "still printing") }, func() any { return m.output(v1) })
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			again := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
			require.NotEqual(t, pid, m.pid(again), "what was taken up is watched")
			require.NoError(t, m.d.Stop(t.Context(), v1, []string{after.ID}, time.Second))
			require.Empty(t, m.all())
		})
	}
}

func TestAProcessThatHasEndedMeanwhileIsNotTakenUp(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("passed"), 1)
	pid := m.pid(m.one(ready))
	require.NoError(t, m.d.Close())
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	id, err := proc.Of(pid)
	require.NoError(t, err)
	m.eventually(id.Ended, func() any { return id })
	_, err = os.Stat("/proc/" + strconv.Itoa(pid))
	require.NoError(t, err, "it is a zombie")
	m.reopen()
	require.Empty(t, m.all(), "who wants it asks for it again")
	require.Empty(t, m.instances())
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "it is no zombie any more")
}

func TestWhatWasTakenUpHasNoEndpointOnceItHasEnded(t *testing.T) {
	t.Parallel()
	m, s := open(t, process.Config{}), spec("passed")
	s.Command[0] = filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.Symlink(os.Args[0], s.Command[0]))
	m.ensure(revision("v1"), s, 1)
	pid := m.pid(m.one(ready))
	m.reopen()
	m.one(ready)
	require.NoError(t, os.Remove(s.Command[0]))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	r := m.one(func(r rollout.Replica) bool { return r.Restarts >= 2 })
	require.Equal(t, rollout.ReplicaFailing, r.State)
	require.Empty(t, r.Endpoint)
}

func TestTheGroupOfSomebodyElseIsNotEnded(t *testing.T) {
	t.Parallel()
	other := exec.Command(os.Args[0])
	other.Env = []string{role + "=silent"}
	other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, other.Start())
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	id, err := proc.Of(other.Process.Pid)
	require.NoError(t, err)
	id.Start += "0" // that of the one that had the number before
	require.NoError(t, process.End(t.Context(), id, "gone@here"))
	require.True(t, alive(other.Process.Pid))
}

func TestAProcessOfSomebodyElseIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(words []string)
	}{
		{"the number is somebody else's", func(words []string) { words[2] += "0" }},
		{"of another boot", func(words []string) { words[3] = "0b2cb8e7-0000-4000-8000-6fd2d2ea9a51" }},
		{"of another machine in the same folder", func(words []string) { words[0] = "pid:[1],time:[1]" }},
		{"nonsense", func(words []string) { words[1] = "-1" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, v1 := open(t, process.Config{}), revision("v1")
			m.ensure(v1, spec("passed"), 1)
			m.one(ready)
			other := exec.Command(os.Args[0])
			other.Env = []string{role + "=silent"}
			other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			require.NoError(t, other.Start())
			t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
			i := m.instances()[0]
			words := strings.Split(i.Process, " ")
			words[1] = strconv.Itoa(other.Process.Pid)
			tt.change(words)
			i.Process = strings.Join(words, " ")
			require.NoError(t, m.config.Store.Instances(m.host()).Put(t.Context(), i))
			m.reopen()
			require.Empty(t, m.all())
			require.True(t, alive(other.Process.Pid))
			m.ensure(v1, spec("passed"), 1)
			m.one(ready)
			require.True(t, alive(other.Process.Pid))
		})
	}
}
