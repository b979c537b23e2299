//go:build linux

package process_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

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

func worker() error {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	return serve(service(), time.Minute, func() (net.Listener, error) { return l, nil })
}

// regroups is a service whose child is in a group of its own, and ignores
// SIGTERM.
func regroups() error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=child")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return err
	}
	fmt.Println("pid", c.Process.Pid)
	return serves(process.Listener)
}

// forksTwice is a service that leaves a daemon behind, as one that starts a helper
// does, and serves on.
func forksTwice() error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=daemon")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.Stdout = os.Stdout
	if err := c.Run(); err != nil {
		return err
	}
	return serves(process.Listener)
}

// daemon is the first of two forks: its child is nobody's.
func daemon() error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=child")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	fmt.Println("pid", c.Process.Pid)
	return nil
}

func TestAProgramThatEndsAtOnceIsQuotedAndTriedAgain(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("exits"), 1)
	begun := time.Now()
	r := m.one(func(r rollout.Replica) bool { return r.Restarts >= 4 })
	require.Equal(t, rollout.ReplicaFailing, r.State)
	require.Contains(t, r.Failure, "ended with status 1")
	require.Contains(t, r.Failure, "no such database")
	require.GreaterOrEqual(t, time.Since(begun), 700*time.Millisecond, "it pauses longer and longer")
}

func TestAProgramThatIsKilledStartsAgainWhereItWas(t *testing.T) {
	t.Parallel()
	for _, play := range []string{"passed", "port"} {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			m := open(t, process.Config{})
			m.ensure(revision("v1"), spec(play), 1)
			before := m.one(ready)
			pid := m.pid(before)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
			require.Equal(t, before.Endpoint, after.Endpoint)
			require.NotEqual(t, pid, m.pid(after))
		})
	}
}

func TestWhoConnectsWhileAPassedListenerIsStartedAgainIsAnswered(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("passed"), 1)
	r := m.one(ready)
	for range 3 {
		slay(t, m.pid(r))
		require.Equal(t, "passed", m.get(r, "/"))
	}
}

// Unitech/pm2#705: a request that crashes a service restarts it thousands of times.
func TestACrashAtEachRequestIsNoStorm(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("passed"), 1)
	begun := time.Now()
	r, restarts := m.one(ready), 0
	m.eventually(func() bool {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.Endpoint, "http://"), time.Minute)
		require.NoError(t, err, "its listener is open between two starts")
		_, _ = fmt.Fprint(conn, "POST /exit HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n")
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, conn.Close())
		restarts, _ = m.restarts()
		return restarts >= 4
	}, func() any { return m.all() })
	paused := 100 * time.Millisecond * time.Duration(1<<(restarts-1)-1)
	require.GreaterOrEqual(t, time.Since(begun), paused, "%d restarts: it pauses 0.1, 0.2, 0.4 seconds, and so on", restarts)
}

func TestWhatAServiceHasLeftBehindEndsWithIt(t *testing.T) {
	t.Parallel()
	for _, play := range []string{"regroups", "forks twice"} {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			m, v1 := open(t, process.Config{}), revision("v1")
			m.ensure(v1, spec(play), 1)
			r := m.one(ready)
			leader := m.pid(r)
			left := func() (pids []int) {
				for _, p := range regexp.MustCompile(`pid (\d+)`).FindAllStringSubmatch(m.output(v1), -1) {
					pid, err := strconv.Atoi(p[1])
					require.NoError(t, err)
					pids = append(pids, pid)
				}
				return pids
			}
			first := left()
			require.Len(t, first, 1)
			require.True(t, alive(first[0]))

			slay(t, leader)
			r = m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
			require.False(t, alive(first[0]), "it ends before the next one begins")
			second := m.pid(r)

			m.reopen()
			r = m.one(ready)
			require.Equal(t, second, m.pid(r))
			m.stop(r, 100*time.Millisecond)
			for _, pid := range append(left(), second) {
				require.False(t, alive(pid), pid)
			}
			require.Empty(t, marked(t, m.config.Dir))
		})
	}
}

// skypilot-org/skypilot#9719: the service is killed, its worker keeps the port, and
// the service never comes up again.
func TestAWorkerThatHoldsThePortIsInNobodysWay(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	l, port := listener(t)
	require.NoError(t, l.Close())
	s := spec("worker holds the port")
	s.Port = &port
	m.ensure(revision("v1"), s, 1)
	r := m.one(ready)
	worker := m.pid(r)
	for pid := range marked(t, m.config.Dir) {
		if pid != worker {
			slay(t, pid)
		}
	}
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts >= 1 })
	require.Equal(t, r.Endpoint, after.Endpoint)
	require.NotEqual(t, worker, m.pid(after))
	require.False(t, alive(worker))
}
