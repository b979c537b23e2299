package procgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
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

// Marked returns the processes, which may be this one, that had a variable in
// their environment when their program began, and its value. It finds those that
// this user may look into, zombies not among them. On other systems than Linux it
// is an errors.ErrUnsupported.
func Marked(name string) (values map[int]string, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	values = make(map[int]string)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		_, rest, found := strings.Cut("\x00"+string(environ), "\x00"+name+"=")
		if found {
			values[pid], _, _ = strings.Cut(rest, "\x00")
		}
	}
	return values, nil
}

func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
