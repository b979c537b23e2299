package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/internal/proc"
	"github.com/upkeep-go/upkeep/internal/procgroup"
)

// child is a process that runs, or has ended: a child of this one, or, once
// another has started it, of whoever takes up orphans.
type child struct {
	id      proc.ID
	ends    *os.File // readable when it has ended
	group   *procgroup.Group
	mark    string // of all that it starts
	settled bool   // it is in store
}

// A shell enters the control group and says its own process id, which is not
// known before, to the program that it becomes.
const (
	shell  = "/bin/sh"
	script = `[ -z "$1" ] || echo $$ >"$1" || exit 126; shift; LISTEN_PID=$$ exec "$@"`
)

// startChild starts a program as the leader of a session.
func startChild(ctx context.Context, p program) (*child, error) {
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
	for range inherits() - len(a.Files) {
		a.Files = append(a.Files, ^uintptr(0)) // closed
	}
	pid, err := forkExec(ctx, command, a)
	if err != nil {
		return nil, err
	}
	return known(pid, pidfd, p.mark)
}

// inherits is one more than the highest descriptor that programs would get from
// this one: it was itself started with it, as by a script that holds a lock.
func inherits() (n int) {
	entries, _ := os.ReadDir("/proc/self/fd") // none, as good as
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			n = max(n, fd+1)
		}
	}
	return n
}

// forkExec starts a program. One that was just written may still be open in a
// process that is just being started, which is waited for as long as ctx lasts.
func forkExec(ctx context.Context, command []string, a *syscall.ProcAttr) (pid int, err error) {
	for i := 0; ; i++ {
		pid, err = syscall.ForkExec(command[0], command, a)
		if !errors.Is(err, syscall.ETXTBSY) || i == 50 || pause.For(ctx, 20*time.Millisecond) != nil {
			return pid, err
		}
	}
}

// known returns a child that has just been started. If it cannot be told from
// others, it is ended.
func known(pid, pidfd int, mark string) (*child, error) {
	if pidfd < 0 {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return nil, fmt.Errorf("process: a kernel without pidfd: %w", errors.ErrUnsupported)
	}
	id, err := proc.Of(pid)
	c := &child{id: id, group: procgroup.Adopt(pid), mark: mark}
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

// take returns the child that another process has started, or this one under
// another Deployer. If it has ended, that is an os.ErrProcessDone.
func take(id proc.ID, mark string) (*child, error) {
	pidfd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // the last two are of a thread
		return nil, os.ErrProcessDone
	case err != nil:
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	c := &child{id: id, ends: os.NewFile(uintptr(pidfd), "pidfd"), group: procgroup.Adopt(id.PID), mark: mark, settled: true}
	switch now, e := proc.Of(id.PID); {
	case errors.Is(e, os.ErrNotExist), e == nil && now != id:
		err = os.ErrProcessDone
	case e != nil:
		err = e
	case id.Ended():
		err = os.ErrProcessDone
		c.reap()
	}
	if err != nil {
		return nil, errors.Join(err, c.ends.Close())
	}
	return c, nil
}

// output is the file below the folder of logs, deleted or not, that it prints
// into, or nil: other files are not the Deployer's to cut.
func (c *child) output(logs string) *os.File {
	name := fmt.Sprintf("/proc/%d/fd/1", c.id.PID)
	if to, err := os.Readlink(name); err != nil || !strings.HasPrefix(to, logs+"/") {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|unix.O_NONBLOCK, 0)
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
	return "ended" + c.ending(), nil
}

// reap lets the process go, and what else of its group is a child of this one,
// as that of a process 1 may be: the number may be another's from then on.
func (c *child) reap() {
	if now, err := proc.Of(c.id.PID); err != nil || now != c.id {
		return // somebody else has
	}
	for {
		pid, err := syscall.Wait4(-c.id.PID, nil, syscall.WNOHANG, nil)
		if !errors.Is(err, syscall.EINTR) && pid <= 0 {
			return
		}
	}
}

// owns reports whether the number of the group is this child's still, and not
// another's by now: the leader has it, be it a zombie, or a member has the mark.
func (c *child) owns() (bool, error) {
	now, err := proc.Of(c.id.PID)
	if !errors.Is(err, os.ErrNotExist) {
		return now == c.id, err
	}
	members, err := proc.Group(c.id.PID)
	if err != nil || len(members) == 0 {
		return false, err
	}
	marked, err := procgroup.Marked(markName)
	return slices.ContainsFunc(members, func(pid int) bool { return marked[pid] == c.mark }), err
}

// end asks the group to end, until the given time, and then ends it. It returns
// when there is nothing left, nor of what has left the group.
func (c *child) end(ctx context.Context, until time.Time, asked bool) error {
	owns, err := c.owns()
	if err != nil {
		return err
	}
	if owns && !asked {
		if err := c.group.Terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	gentle, done := context.WithDeadline(ctx, until)
	defer done()
	if err := c.empty(gentle); err != nil && (ctx.Err() != nil || gentle.Err() == nil) {
		return err
	}
	return c.kill(ctx)
}

// kill ends the group, and what has left it.
func (c *child) kill(ctx context.Context) error {
	owns, err := c.owns()
	if err != nil {
		return err
	}
	if owns {
		c.group.Kill()
	}
	if err := c.empty(ctx); err != nil {
		return err
	}
	c.reap()
	return procgroup.EndMarked(ctx, markName, func(value string) bool { return value == c.mark })
}

// empty waits until nothing is left of the group.
func (c *child) empty(ctx context.Context) error {
	const first, most = 10 * time.Millisecond, 250 * time.Millisecond
	for wait := first; ; wait = min(wait*5/4, most) {
		if owns, err := c.owns(); err != nil || !owns {
			return err
		}
		if empty, err := c.group.Empty(); err != nil || empty {
			return err
		}
		if err := pause.For(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *child) close() error { return c.ends.Close() }

// ending is how the process has ended, as long as its parent has not let it go.
func (c *child) ending() string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.id.PID))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat))
	var code int
	if _, err := fmt.Sscan(fields[len(fields)-1], &code); err != nil {
		return ""
	}
	if now, err := proc.Of(c.id.PID); err != nil || now != c.id {
		return "" // it was of another
	}
	status := syscall.WaitStatus(code)
	if status.Signaled() {
		return ", killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf(" with status %d", status.ExitStatus())
}
