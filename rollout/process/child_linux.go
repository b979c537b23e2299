package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/proc"
	"github.com/upkeep-go/upkeep/internal/procgroup"
)

// child is a process that runs, or has ended: a child of this one, or, once
// another has started it, of whoever takes up orphans.
type child struct {
	id      proc.ID
	ends    *os.File // readable when it has ended
	group   *procgroup.Group
	settled bool // it is in store
}

// A shell enters the control group and says its own process id, which is not
// known before, to the program that it becomes.
const (
	shell  = "/bin/sh"
	script = `[ -z "$1" ] || echo $$ >"$1" || exit 126; shift; LISTEN_PID=$$ exec "$@"`
)

// startChild starts a program as the leader of a session.
func startChild(p program) (*child, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pidfd := -1
	a := &syscall.ProcAttr{
		Dir: p.dir, Env: p.environment,
		Files: []uintptr{null.Fd(), p.output.Fd(), p.output.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	}
	command := p.command
	_, missing := os.Stat(shell)
	if missing == nil && (p.passed != nil || p.group != "") {
		command = append([]string{shell, "-c", script, shell, p.group}, command...)
	}
	switch {
	case missing != nil && p.group != "":
		return nil, fmt.Errorf("limits need %s: %w", shell, missing)
	case missing == nil && p.passed != nil:
		a.Env = append(a.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=http")
		a.Files = append(a.Files, p.passed.Fd())
	}
	pid, err := forkExec(command, a)
	if err != nil {
		return nil, err
	}
	return known(pid, pidfd)
}

// forkExec starts a program. One that was just written may still be open in a
// process that is just being started.
func forkExec(command []string, a *syscall.ProcAttr) (pid int, err error) {
	for i := 0; ; i++ {
		pid, err = syscall.ForkExec(command[0], command, a)
		if !errors.Is(err, syscall.ETXTBSY) || i == 50 {
			return pid, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// known returns a child that has just been started. If it cannot be told from
// others, it is ended.
func known(pid, pidfd int) (*child, error) {
	if pidfd < 0 {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return nil, fmt.Errorf("process: a kernel without pidfd: %w", errors.ErrUnsupported)
	}
	id, err := proc.Of(pid)
	c := &child{id: id, group: procgroup.Adopt(pid)}
	if e := unix.SetNonblock(pidfd, true); err == nil {
		err = e
	}
	c.ends = os.NewFile(uintptr(pidfd), "pidfd")
	if err != nil {
		c.group.Kill()
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return nil, errors.Join(err, c.ends.Close())
	}
	return c, nil
}

// take returns the child that another process has started, if it still runs.
func take(id proc.ID) (*child, error) {
	pidfd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	c := &child{id: id, ends: os.NewFile(uintptr(pidfd), "pidfd"), group: procgroup.Adopt(id.PID), settled: true}
	now, err := proc.Of(id.PID)
	if err == nil && (now != id || id.Ended()) {
		err = os.ErrProcessDone
	}
	if err != nil {
		return nil, errors.Join(err, c.ends.Close())
	}
	return c, nil
}

// output is the file that it prints into, or nil if that cannot be known.
func (c *child) output() *os.File {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/1", c.id.PID), os.O_RDWR|os.O_APPEND|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil
	}
	return f
}

// wait waits until the process has ended, and says how. It has an error when ctx
// ends before.
func (c *child) wait(ctx context.Context) (how string, err error) {
	conn, err := c.ends.SyscallConn()
	if err != nil {
		return "", err
	}
	if err := c.ends.SetReadDeadline(time.Time{}); err != nil {
		return "", err
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		_ = c.ends.SetReadDeadline(time.Unix(1, 0))
	})
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return err == nil && n > 0
	})
	if !stop() {
		<-over
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	return "ended" + ending(c.id.PID), nil
}

// reap lets the process go, if it is a child of this one: its number may be
// another's from then on.
func (c *child) reap() {
	_, _ = syscall.Wait4(c.id.PID, nil, syscall.WNOHANG, nil)
}

// end asks the group to end, until the given time, and then ends it. It returns
// when there is nothing left, nor of what has left the group.
func (c *child) end(ctx context.Context, until time.Time, asked bool, mark string) error {
	if !asked {
		if err := c.group.Terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	gentle, done := context.WithDeadline(ctx, until)
	err := c.group.Wait(gentle)
	done()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.kill(ctx, mark)
}

// kill ends the group, and what has left it.
func (c *child) kill(ctx context.Context, mark string) error {
	c.group.Kill()
	if err := c.group.Wait(ctx); err != nil {
		return err
	}
	c.reap()
	return procgroup.EndMarked(ctx, markName, func(value string) bool { return value == mark })
}

func (c *child) close() error { return c.ends.Close() }

// ending is how a process has ended, as long as its parent, this one, has not
// let it go.
func ending(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat))
	var code int
	if _, err := fmt.Sscan(fields[len(fields)-1], &code); err != nil {
		return ""
	}
	status := syscall.WaitStatus(code)
	if status.Signaled() {
		return ", killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf(" with status %d", status.ExitStatus())
}
