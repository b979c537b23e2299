package procgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

// New makes cmd, which is yet to be started, the leader of a session, and so of
// a process group, that has no terminal. Close is called by the same goroutine.
func New(cmd *exec.Cmd, o Options) (*Group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.EndsWithParent {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		// The signal is sent when the thread that started the program ends.
		runtime.LockOSThread()
	}
	return &Group{cmd: cmd, thread: o.EndsWithParent}, nil
}

// Close lets go of the group. What runs goes on.
func (g *Group) Close() {
	if g.thread {
		g.thread = false
		runtime.UnlockOSThread()
	}
}

// Marked returns the processes, which may be this one, that had variable,
// "NAME=value", in their environment when their program began. It finds those
// that this user may look into. On other systems than Linux it is an
// errors.ErrUnsupported.
func Marked(variable string) (pids []int, err error) {
	err = eachMarked(variable, func(pid int) error {
		pids = append(pids, pid)
		return nil
	})
	return pids, err
}

func killMarked(variable string) (found int, err error) {
	err = eachMarked(variable, func(pid int) error {
		found++
		if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	})
	return found, err
}

func eachMarked(variable string, do func(pid int) error) error {
	wanted := []byte("\x00" + variable + "\x00")
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), wanted) {
			continue // it has ended, or is somebody else's
		}
		if err := do(pid); err != nil {
			return err
		}
	}
	return nil
}
