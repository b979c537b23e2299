//go:build unix

package step

import (
	"errors"
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
