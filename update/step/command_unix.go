//go:build unix

package step

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// group is a program and what it starts.
type group struct {
	cmd *exec.Cmd
}

// started is called once the program runs.
func (g *group) started() error { return nil }

// terminate asks all of the group to end.
func (g *group) terminate() error { return g.signal(syscall.SIGTERM) }

// kill ends what is left of the group.
func (g *group) kill() { _ = g.signal(syscall.SIGKILL) }

func (g *group) signal(s syscall.Signal) error {
	err := syscall.Kill(-g.cmd.Process.Pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
