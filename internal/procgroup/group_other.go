//go:build darwin || freebsd

package procgroup

import (
	"errors"
	"os/exec"
	"syscall"
)

// New makes cmd, which is yet to be started, the leader of a session, and so of
// a process group, that has no terminal.
func New(cmd *exec.Cmd, _ Options) (*Group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return &Group{cmd: cmd}, nil
}

// Close lets go of the group. What runs goes on.
func (g *Group) Close() {}

// Marked is an errors.ErrUnsupported: it cannot look into other processes here.
func Marked(string) (values map[int]string, err error) { return nil, errors.ErrUnsupported }

func kill(int) error { return errors.ErrUnsupported }
