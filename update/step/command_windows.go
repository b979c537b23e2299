package step

import (
	"context"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object: it ends a program with all that it starts, also when
// this process dies. There is no gentle way to ask them.
type group struct {
	cmd *exec.Cmd
	job windows.Handle
}

func newGroup(cmd *exec.Cmd) (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, err
	}
	g := &group{cmd, job}
	if err := g.endWithUs(true); err != nil {
		g.close()
		return nil, err
	}
	// Without a console there is nobody to ask.
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
	return g, nil
}

// endWithUs says whether all of the job ends when its last handle closes.
func (g *group) endWithUs(yes bool) error {
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	if yes {
		limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	}
	_, err := windows.SetInformationJobObject(g.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	return err
}

// started puts the program, which runs by now, into the job. What it started
// before that stays outside.
func (g *group) started() error {
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

func (g *group) terminate() error { return windows.TerminateJobObject(g.job, 1) }

func (g *group) kill() {
	_ = windows.TerminateJobObject(g.job, 1)
	_ = g.cmd.Process.Kill()
}

// close lets go of what a program that ended well left running.
func (g *group) close() {
	_ = g.endWithUs(false)
	_ = windows.CloseHandle(g.job)
}

// endOrphans has nothing to do: they ended with the process that started them.
func endOrphans(context.Context, string) error { return nil }
