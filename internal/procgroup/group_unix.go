//go:build unix

package procgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/upkeep-go/upkeep/internal/proc"
)

// Group is a program and what it starts, but for what leaves the group.
type Group struct {
	cmd    *exec.Cmd // nil if it was adopted
	leader int       // of an adopted one
	thread bool      // this goroutine is locked to its own
}

// Adopt returns the group that some process has made, by the pid of its leader,
// which may have ended. Once the group is empty the number may be given to
// another.
func Adopt(pid int) *Group { return &Group{leader: pid} }

// Started is called once the program runs.
func (g *Group) Started() error { return nil }

// Terminate asks all of the group to end. Of one that is gone it is an
// os.ErrProcessDone.
func (g *Group) Terminate() error { return g.signal(syscall.SIGTERM) }

// Kill ends what is left of the group.
func (g *Group) Kill() { _ = g.signal(syscall.SIGKILL) }

// Empty reports that no process is left of the group. A zombie, which has
// ended though its parent has not noticed yet, does not count where it can be
// told: on Linux, as far as /proc shows the group.
func (g *Group) Empty() (bool, error) {
	err := g.signal(0)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return true, nil
	case errors.Is(err, errNoGroup):
		return false, err
	}
	for range 2 { // one that was just born may be missed once
		if pids, err := proc.Group(g.id()); err != nil || len(pids) > 0 {
			return false, nil // without proc.Group it is known by the signal alone
		}
	}
	return true, nil
}

func (g *Group) id() int {
	if g.cmd != nil && g.cmd.Process != nil {
		return g.cmd.Process.Pid
	}
	return g.leader
}

func (g *Group) signal(s syscall.Signal) error {
	id := g.id()
	if id <= 1 { // else it would be for everybody
		return fmt.Errorf("%w: %d", errNoGroup, id)
	}
	err := syscall.Kill(-id, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
