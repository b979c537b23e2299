package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/handover"
)

// sockets are where a replica may serve: a listener that is passed to each of its
// processes, and a port that is kept for them to listen on, by a socket that
// does not listen itself.
type sockets struct {
	open      bool     // kept is
	listener  *os.File // nil once the process has chosen the port
	listening int      // its port
	kept      int      // the descriptor that keeps the port
	port      int
}

var local = [4]byte{127, 0, 0, 1}

// make makes what there is not, with the given port, or else where the process
// before was. If that is taken, the next attempt takes any.
func (s *sockets) make(port *int) (err error) {
	if s.listener == nil {
		if s.listener, s.listening, err = listen(s.listening); err != nil {
			return err
		}
	}
	if port != nil {
		s.port = *port
	}
	s.kept, s.port, err = keep(s.port)
	s.open = err == nil
	return err
}

func listen(port int) (listener *os.File, chosen int, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	listener, err = handover.Duplicate(l)
	return listener, l.Addr().(*net.TCPAddr).Port, err
}

// adopt takes up where a process is that another Deployer has started and that
// answers at endpoint: if that is the listener that it was passed, this one is to
// keep it open from now on. The system may refuse that; a new one is made then
// when the process has ended. One without PORT is taken to use the listener.
func (s *sockets) adopt(c *child, endpoint string) {
	answers, err := strconv.Atoi(strings.TrimPrefix(endpoint, "http://127.0.0.1:"))
	if err != nil {
		return
	}
	port, err := strconv.Atoi(c.variable("PORT"))
	if err == nil {
		s.port = port
	}
	if answers != s.port {
		s.listening, s.listener = answers, c.listener(answers)
	}
}

// variable is one of the environment that a process began with.
func (c *child) variable(name string) string {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.id.PID)) // of another process, it does no harm
	_, rest, _ := strings.Cut("\x00"+string(environ), "\x00"+name+"=")
	value, _, _ := strings.Cut(rest, "\x00")
	return value
}

// listener is what a process listens on at a port of this machine, or nil: it need
// not be its descriptor 3 any more.
func (c *child) listener(port int) (found *os.File) {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.id.PID))
	conn, err := c.ends.SyscallConn()
	if err != nil {
		return nil
	}
	_ = conn.Control(func(pidfd uintptr) {
		for _, e := range entries {
			n, _ := strconv.Atoi(e.Name())
			fd, err := unix.PidfdGetfd(int(pidfd), n, 0)
			if err != nil {
				continue
			}
			if listens(fd, port) {
				found = os.NewFile(uintptr(fd), "listener")
				return
			}
			_ = unix.Close(fd)
		}
	})
	return found
}

func listens(fd, port int) bool {
	does, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || does == 0 {
		return false
	}
	name, err := unix.Getsockname(fd)
	at, ok := name.(*unix.SockaddrInet4)
	return err == nil && ok && at.Port == port && at.Addr == local
}

// keep keeps a port from others, but not from who listens there with
// SO_REUSEADDR.
func keep(port int) (fd, chosen int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, os.NewSyscallError("socket", err)
	}
	address := &unix.SockaddrInet4{Port: port, Addr: local}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, address)
	}
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	if errors.Is(err, unix.EADDRINUSE) {
		err = fmt.Errorf("port %d is taken", port)
	}
	if err != nil {
		return -1, 0, errors.Join(err, unix.Close(fd))
	}
	return fd, name.(*unix.SockaddrInet4).Port, nil
}

// passed is what a process gets as descriptor 3.
func (s *sockets) passed() *os.File { return s.listener }

// settle closes what the process does not use: nobody would answer there.
func (s *sockets) settle(endpoint string) error {
	if _, port := s.addresses(); endpoint != port || s.listener == nil {
		return nil
	}
	l := s.listener
	s.listener = nil
	return l.Close()
}

func (s *sockets) close() error {
	var err error
	if s.open {
		s.open = false
		err = unix.Close(s.kept)
	}
	if s.listener != nil {
		err = errors.Join(err, s.listener.Close())
		s.listener = nil
	}
	return err
}
