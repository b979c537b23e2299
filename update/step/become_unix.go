//go:build unix

package step

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// become makes this process another program, with the same arguments. It
// returns only an error.
func become(path string, env []string) error {
	for i := 0; ; i++ {
		err := syscall.Exec(path, os.Args, env)
		if !errors.Is(err, syscall.ETXTBSY) || i == 50 {
			return err
		}
		time.Sleep(20 * time.Millisecond) // a process that was just forked still has it open
	}
}

// openListener returns a listener on the socket fd, which stays open.
func openListener(fd int) (net.Listener, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(own), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// duplicate returns another descriptor of a listener's socket. The name of a
// Unix socket stays when the listener is closed.
func duplicate(l net.Listener) (fd int, err error) {
	var conn syscall.RawConn
	switch l := l.(type) {
	case *net.TCPListener:
		conn, err = l.SyscallConn()
	case *net.UnixListener:
		conn, err = l.SyscallConn()
	default:
		err = fmt.Errorf("step: a %T cannot be handed over", l)
	}
	if err != nil {
		return 0, err
	}
	var failed error
	err = conn.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	if l, ok := l.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	return fd, nil
}

// inheritable says whether the programs that this process starts or becomes
// get fd.
func inheritable(fd int, yes bool) error {
	flag := unix.FD_CLOEXEC
	if yes {
		flag = 0
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
	return os.NewSyscallError("fcntl", err)
}

func closeListener(fd int) { _ = unix.Close(fd) }

// unread reports whether a client has said something that its server, which may
// be slow, has not read yet.
func unread(conn syscall.RawConn) (yes bool) {
	if conn == nil {
		return false
	}
	err := conn.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		yes = err == nil && n > 0
	})
	return err == nil && yes
}

// askToEnd asks a process to end.
func askToEnd(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
