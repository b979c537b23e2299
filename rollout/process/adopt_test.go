//go:build linux

package process_test

import (
	"context"
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

func TestALogThatIsDeletedMeanwhileGoesOn(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("passed"), 1)
	r := m.one(ready)
	require.NoError(t, m.d.Close())
	logs, err := filepath.Glob(filepath.Join(m.config.Dir, "logs/revisions/*/*/*.log"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	require.NoError(t, os.Remove(logs[0]))
	m.post(r, "/print", "printed meanwhile")
	m.reopen()
	m.eventually(func() bool { return strings.Contains(m.output(v1), "printed meanwhile") }, func() any { return m.output(v1) })
}

func TestAFileThatIsNoLogIsNotCut(t *testing.T) {
	t.Parallel()
	m, s, own := open(t, process.Config{}), spec("diverts"), filepath.Join(t.TempDir(), "own")
	s.Environment["OWN"] = own
	m.ensure(revision("v1"), s, 1)
	m.one(ready)
	m.reopen()
	m.one(ready)
	require.NoError(t, m.d.Close()) // which tidies once more
	text, err := os.ReadFile(own)
	require.NoError(t, err)
	require.Equal(t, "own\n", string(text))
	m.reopen()
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

// instances are the rows of the machine.
func (m *machine) instances() (all []rollout.Instance) {
	m.Helper()
	for i, err := range m.config.Store.Instances(m.host()).List(m.Context()) {
		require.NoError(m, err)
		all = append(all, i)
	}
	return all
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

func TestWhatIsOfAnotherFolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	one, two := open(t, process.Config{}), open(t, process.Config{})
	one.ensure(revision("v1"), spec("passed"), 1)
	two.ensure(revision("v1"), spec("passed"), 1)
	pid := one.pid(one.one(ready))
	two.one(ready)
	two.stopAll()
	two.reopen()
	require.Equal(t, pid, one.pid(one.one(ready)))
}

func TestAFolderIsOfOneDeployer(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	opened := make(chan error, 1)
	second := m.config
	go func() {
		d, err := process.Open(second)
		if err == nil {
			err = d.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		require.Fail(t, "two Deployers of one folder", "%v", err)
	case <-time.After(300 * time.Millisecond):
	}
	require.NoError(t, m.d.Close())
	require.NoError(t, <-opened)
	m.reopen()
}

func TestOpenRefusesWhatItCannotDoWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	m := open(t, process.Config{})
	for _, c := range []process.Config{
		{}, {Dir: t.TempDir()}, {Store: m.config.Store}, {Dir: dir, Store: m.config.Store},
		{Dir: t.TempDir(), Store: m.config.Store, Environment: []string{"novalue"}},
	} {
		_, err := process.Open(c)
		require.Error(t, err)
	}
	require.NoError(t, m.d.Close())
	require.NoError(t, m.d.Close())
	for _, err := range []error{
		m.d.Ensure(t.Context(), revision("v1"), spec("passed"), 1),
		m.d.Stop(context.Background(), revision("v1"), nil, 0),
	} {
		require.ErrorIs(t, err, rollout.ErrClosed)
	}
	m.reopen()
}
