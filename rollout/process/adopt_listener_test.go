//go:build linux

package process_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/handover"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// elsewhere is the passed listener at another descriptor.
func elsewhere() (net.Listener, error) {
	l, err := handover.Open(3)
	return l, errors.Join(err, syscall.Close(3))
}

func TestWhatWasTakenUpFallsAndNoConnectionIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		spec         rollout.Spec
	}{
		{"late", "late", spec("late")},
		{"passed elsewhere", "passed elsewhere", spec("passed elsewhere")},
		{"without PORT", "passed", script("unset PORT;")},
		{"with another PORT", "passed", script("export PORT=3000;")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, v1 := open(t, process.Config{}), revision("v1")
			m.ensure(v1, tt.spec, 1)
			before := m.one(ready)
			for falls := range 2 { // and of what this Deployer has started itself
				m.reopen()
				m.one(ready)
				require.NoError(t, syscall.Kill(m.pid(before), syscall.SIGKILL))
				for range 20 {
					m.answers(before, tt.answer)
				}
				after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
				require.Equal(t, before.Endpoint, after.Endpoint, "fall %d", falls)
			}
			listener := listenerAt(t, before.Endpoint)
			m.stop(before, time.Second)
			m.closes(listener)
		})
	}
}

// answers asks over a connection of its own, which may wait for a process.
func (m *machine) answers(r rollout.Replica, name string) {
	m.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.Endpoint, "http://"))
	require.NoError(m, err)
	defer c.Close()
	require.NoError(m, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = fmt.Fprintf(c, "GET / HTTP/1.0\r\n\r\n")
	require.NoError(m, err)
	text, err := io.ReadAll(c)
	if errors.Is(err, syscall.ECONNRESET) {
		return // it was accepted by the one that was just killed
	}
	require.NoError(m, err)
	require.True(m, len(text) == 0 || strings.HasSuffix(string(text), name), "%s", text)
}

func TestWhatWasTakenUpIsStartedAgainAtItsPort(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("port"), 1)
	before := m.one(ready)
	m.reopen()
	m.one(ready)
	require.NoError(t, syscall.Kill(m.pid(before), syscall.SIGKILL))
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
	require.Equal(t, before.Endpoint, after.Endpoint)
}

// TestOneThatListensWithoutPortComesBackElsewhere: its listener is taken for the
// one that it was passed.
func TestOneThatListensWithoutPortComesBackElsewhere(t *testing.T) {
	t.Parallel()
	m, s := open(t, process.Config{}), script("export AT=$PORT; unset PORT;")
	s.Environment[role], s.Environment["NAME"] = "unnamed port", "named"
	m.ensure(revision("v1"), s, 1)
	before := m.one(ready)
	m.reopen()
	m.one(ready)
	require.NoError(t, syscall.Kill(m.pid(before), syscall.SIGKILL))
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts == 1 })
	require.NotEqual(t, before.Endpoint, after.Endpoint)
	require.Equal(t, "named", m.get(after, "/"))
}

// closely is a service of whose descriptors and environment the system tells
// nobody but root.
func closely() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	return serves(process.Listener)
}

func TestWhatCannotBeLookedIntoComesBackWhereItWas(t *testing.T) {
	t.Parallel()
	m := open(t, process.Config{})
	m.ensure(revision("v1"), spec("closely"), 1)
	before := m.one(ready)
	m.reopen()
	m.one(ready)
	require.NoError(t, syscall.Kill(m.pid(before), syscall.SIGKILL))
	after := m.one(func(r rollout.Replica) bool { return ready(r) && r.Restarts >= 1 })
	require.Equal(t, before.Endpoint, after.Endpoint)
}

// TestAPortThatIsTakenMeanwhileIsNotWaitedFor: what was taken up need not come
// back where it was.
func TestAPortThatIsTakenMeanwhileIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	s := spec("port")
	s.Command[0] = t.TempDir() + "/program"
	require.NoError(t, os.Symlink(os.Args[0], s.Command[0]))
	m.ensure(v1, s, 1)
	before := m.one(ready)
	m.reopen()
	m.one(ready)
	pid := m.pid(before)
	require.NoError(t, os.Remove(s.Command[0]))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	m.one(func(r rollout.Replica) bool { return r.Restarts >= 1 })
	l, err := net.Listen("tcp", strings.TrimPrefix(before.Endpoint, "http://"))
	if err == nil {
		defer l.Close()
	} else { // somebody has been faster
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	}
	require.NoError(t, os.Symlink(os.Args[0], s.Command[0]))
	after := m.one(ready)
	require.NotEqual(t, before.Endpoint, after.Endpoint)
}
