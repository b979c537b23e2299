//go:build linux

package process_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// What people have reported of other supervisors. Each test names one.

func init() {
	roles["worker holds the port"] = holds
	roles["worker"] = worker
	roles["child that takes"] = takes
}

// holds is a service whose worker, in a session of its own, listens on its port.
func holds() error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=worker")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.Stdout = os.Stdout
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

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

func worker() error {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	return serve(service(), time.Minute, func() (net.Listener, error) { return l, nil })
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
	m := breakable(t, process.Config{})
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

// circus-tent/circus#67 and Supervisor/supervisor#184: each start, and each stop,
// costs a descriptor.
func TestStartsAndStopsCostNoDescriptors(t *testing.T) {
	m, v1 := breakable(t, process.Config{}), revision("v1")
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

// ralphlange/procServ#48: a program inherits signals that are blocked, and does not
// end.
func TestAServiceHasNoSignalBlocked(t *testing.T) {
	t.Parallel()
	m := breakable(t, process.Config{})
	s := rollout.Spec{Command: []string{"/bin/sh", "-c", "grep Sig /proc/$$/status; exec sleep 60"}}
	m.ensure(revision("v1"), s, 1)
	m.eventually(func() bool { return strings.Contains(m.output(revision("v1")), "SigCgt") }, func() any { return m.output(revision("v1")) })
	require.Regexp(t, `SigBlk:\s+0{16}\b`, m.output(revision("v1")))
	begun := time.Now()
	m.stop(m.all()[0], time.Hour)
	require.Less(t, time.Since(begun), 30*time.Second)
}

// F1bonacc1/process-compose#403: what is not ready is killed for good. And
// vstorm-co/agenticos#336: what is alive and does not answer is taken for well,
// and cannot be stopped.
func TestAFrozenServiceIsUnreadyAndComesBackAndCanBeStopped(t *testing.T) {
	t.Parallel()
	m := breakable(t, process.Config{})
	s := spec("passed")
	s.Health = &rollout.Health{Timeout: 300 * time.Millisecond, Interval: 50 * time.Millisecond}
	m.ensure(revision("v1"), s, 1)
	pid := m.pid(m.one(ready))
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	r := m.one(func(r rollout.Replica) bool { return r.State == rollout.ReplicaFailing })
	require.Contains(t, r.Failure, "no answer within 300ms")
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	require.Zero(t, m.one(ready).Restarts)
	require.Equal(t, pid, m.pid(m.one(ready)))

	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	m.stop(r, 200*time.Millisecond)
	require.False(t, alive(pid))
}

// dotnet/aspnetcore#29189 and systemd/systemd#36899: the listener of a service
// reaches its children, which take it for theirs.
func TestAChildDoesNotTakeTheListener(t *testing.T) {
	t.Parallel()
	m, v1 := breakable(t, process.Config{}), revision("v1")
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

// skypilot-org/skypilot#9719: the service is killed, its worker keeps the port, and
// the service never comes up again.
func TestAWorkerThatHoldsThePortIsInNobodysWay(t *testing.T) {
	t.Parallel()
	m := breakable(t, process.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	s := spec("worker holds the port")
	s.Port = &port
	m.ensure(revision("v1"), s, 1)
	r := m.one(ready)
	worker := m.pid(r)
	for pid := range marked(t, m.config.Dir) {
		if pid != worker {
			slain(t, pid)
		}
	}
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts >= 1 })
	require.Equal(t, r.Endpoint, after.Endpoint)
	require.NotEqual(t, worker, m.pid(after))
	require.False(t, alive(worker))
}

// hashicorp/nomad#8893: a program sends its output through tee, and is lost with a
// restart of the supervisor.
func TestAServiceThatPrintsThroughAPipeOfItsOwn(t *testing.T) {
	t.Parallel()
	m, v1 := breakable(t, process.Config{}), revision("v1")
	s := script("")
	s.Command = []string{"/bin/sh", "-c", `"$0" 2>&1 | tee -i "$COPY"`, os.Args[0]}
	s.Environment["COPY"] = t.TempDir() + "/copy"
	m.ensure(v1, s, 1)
	r := m.one(ready)
	pid := m.pid(r)
	m.reopen()
	r = m.one(ready)
	require.Equal(t, pid, m.pid(r))
	m.post(r, "/print", "through the pipe")
	m.eventually(func() bool { return strings.Contains(m.output(v1), "through the pipe") }, func() any { return m.output(v1) })
	m.stop(r, 5*time.Second)
	require.Empty(t, marked(t, m.config.Dir))
}

// Unitech/pm2#705: a request that crashes a service restarts it thousands of times.
func TestACrashAtEachRequestIsNoStorm(t *testing.T) {
	t.Parallel()
	m := breakable(t, process.Config{})
	m.ensure(revision("v1"), spec("passed"), 1)
	begun := time.Now()
	r := m.one(ready)
	for n := 0; time.Since(begun) < 1500*time.Millisecond; n++ {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.Endpoint, "http://"), time.Second)
		require.NoError(t, err, "its listener is open between two starts")
		_, _ = fmt.Fprint(conn, "POST /exit HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n")
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, conn.Close())
	}
	restarts, _ := m.restarts()
	require.GreaterOrEqual(t, restarts, 1)
	require.LessOrEqual(t, restarts, 4, "it pauses 0.1, 0.2, 0.4 seconds, and so on")
}
