package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// newGroup makes cmd the leader of a session, and so of a process group, that
// has no terminal and ends with this process. close is called by the same
// goroutine.
func newGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	// The signal is sent when the thread that started the program ends.
	runtime.LockOSThread()
	return &group{cmd}, nil
}

func (g *group) close() { runtime.UnlockOSThread() }

// endOrphans kills every process of this user with variable, "NAME=value", in
// its environment, and returns when there is none.
func endOrphans(ctx context.Context, variable string) error {
	wanted := []byte(variable + "\x00")
	for {
		found, err := killMarked(wanted)
		if err != nil || found == 0 {
			return err
		}
		if err := pause.For(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func killMarked(variable []byte) (found int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), append([]byte{0}, variable...)) {
			continue // it has ended, or is somebody else's
		}
		found++
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return found, err
		}
	}
	return found, nil
}
