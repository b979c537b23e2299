package process

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/handover"
)

// sockets are where a replica may serve: a listener that is passed to each of its
// processes, and a port that is kept for them to listen on, by a socket that
// does not listen itself.
type sockets struct {
	open      bool
	listener  *os.File // nil once the process has chosen the port
	listening int      // its port
	kept      int      // the descriptor that keeps the port, -1 if none does
	port      int
}

// make makes the sockets, with the given port or a free one.
func (s *sockets) make(port *int) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	listener, err := handover.Duplicate(l)
	if err != nil {
		return err
	}
	wanted := 0
	if port != nil {
		wanted = *port
	}
	kept, chosen, err := keep(wanted)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	*s = sockets{open: true, listener: listener, listening: l.Addr().(*net.TCPAddr).Port, kept: kept, port: chosen}
	return nil
}

// keep keeps a port from others, but not from who listens there with
// SO_REUSEADDR.
func keep(port int) (fd, chosen int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, os.NewSyscallError("socket", err)
	}
	address := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
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
	if !s.open {
		return nil
	}
	s.open = false
	err := unix.Close(s.kept)
	if s.listener != nil {
		err = errors.Join(err, s.listener.Close())
	}
	return err
}
