package procgroup

import (
	"errors"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Group is a job object: it ends a program with all that it starts. There is no
// gentle way to ask them.
type Group struct {
	cmd *exec.Cmd
	job windows.Handle // 0 if there is none
}

// New makes a job for cmd, which is yet to be started.
func New(cmd *exec.Cmd, o Options) (*Group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, err
	}
	g := &Group{cmd, job}
	if err := g.endWithUs(o.EndsWithParent); err != nil {
		g.Close()
		return nil, err
	}
	// Without a console there is nobody to ask.
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
	return g, nil
}

// Adopt returns a group about which nothing is known: all that can fail is an
// errors.ErrUnsupported.
func Adopt(int) *Group { return &Group{} }

// endWithUs says whether all of the job ends when its last handle closes.
func (g *Group) endWithUs(yes bool) error {
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	if yes {
		limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	}
	_, err := windows.SetInformationJobObject(g.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	return err
}

// Started puts the program, which runs by now, into the job. What it started
// before that stays outside.
func (g *Group) Started() error {
	if g.job == 0 {
		return errors.ErrUnsupported
	}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.SYNCHRONIZE
	p, err := windows.OpenProcess(access, false, uint32(g.cmd.Process.Pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(p)
	err = windows.AssignProcessToJobObject(g.job, p)
	if ended, _ := windows.WaitForSingleObject(p, 0); ended == windows.WAIT_OBJECT_0 {
		return nil // too late for the job, and no need of it
	}
	return err
}

// Terminate ends all of the group.
func (g *Group) Terminate() error {
	if g.job == 0 {
		return errors.ErrUnsupported
	}
	return windows.TerminateJobObject(g.job, 1)
}

// Kill ends what is left of the group.
func (g *Group) Kill() {
	if g.job == 0 {
		return
	}
	_ = windows.TerminateJobObject(g.job, 1)
	_ = g.cmd.Process.Kill()
}

// Close lets go of what a program that ended well left running.
func (g *Group) Close() {
	if g.job == 0 {
		return
	}
	_ = g.endWithUs(false)
	_ = windows.CloseHandle(g.job)
	g.job = 0
}

// Empty is an errors.ErrUnsupported on this system.
func (g *Group) Empty() (bool, error) { return false, errors.ErrUnsupported }

// Marked is an errors.ErrUnsupported: it cannot look into other processes here.
func Marked(string) (values map[int]string, err error) { return nil, errors.ErrUnsupported }

func kill(int) error { return errors.ErrUnsupported }
