//go:build unix

// Package handover gives listeners to another process.
package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Open returns a listener on the socket fd, which stays open.
func Open(fd int) (net.Listener, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(own), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// Duplicate is Descriptor as a file, such as exec.Cmd.ExtraFiles takes. Unlike
// that of net.TCPListener.File its use there does not make the listener a
// blocking one.
func Duplicate(l net.Listener) (*os.File, error) {
	fd, err := Descriptor(l)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// Descriptor returns another descriptor of a listener's socket, which programs
// that are started do not get by themselves. The name of a Unix socket stays
// when the listener is closed.
func Descriptor(l net.Listener) (fd int, err error) {
	var conn syscall.RawConn
	switch l := l.(type) {
	case *net.TCPListener:
		conn, err = l.SyscallConn()
	case *net.UnixListener:
		conn, err = l.SyscallConn()
	default:
		err = fmt.Errorf("handover: a %T cannot be handed over", l)
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
