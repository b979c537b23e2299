package step

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/internal/procgroup"
	"github.com/upkeep-go/upkeep/update"
)

// maxTail is how much of a command's last output its error quotes, in bytes.
const maxTail = 4 << 10

// attemptVariable marks what a command starts, for whoever has to find it.
const attemptVariable = "UPKEEP_COMMAND"

// Exec says how to run a program. A zero field means its documented default.
type Exec struct {
	// Args is required: the program and its arguments. A program without a
	// path is looked up in this process's PATH, a relative path is one from
	// Dir. Placeholders are filled in. Nothing passes through a shell, and a
	// value that is filled in cannot make an option of an argument: one that
	// begins with "-" only for that is an error.
	Args []string
	// Undo takes the effect back, like Args. It must bear being run twice,
	// and after an Args that got half-way. Default: no Undo.
	Undo []string
	// Dir is where the program runs. Default: the current folder.
	Dir string
	// Env is added to this process's environment, as "NAME=value".
	// Placeholders are filled in.
	Env []string
	// Grace is how long a cancelled program has to end by itself. Keep it
	// below a sixth of Config.LockTTL, after which a step is left alone.
	// Default 5 seconds.
	Grace time.Duration
}

// Command runs a program, and fails unless its exit status is 0. The error
// quotes the last 4 KiB of its output. All output goes to Task.Output as it
// comes, which shows that the step lives: a program that is silent for
// Config.LockTTL is stalled.
//
// Nobody is there to answer questions: the input is empty, and there is no
// terminal (on Windows, no console), whether or not this process has one. A
// program that asks for a password all the same, as git, ssh and sudo do, fails
// at once and says so.
//
// The program runs in a session and a process group of its own. When the step
// is cancelled the group gets SIGTERM and, once the program has ended or Grace is over,
// SIGKILL: nothing of it stays, nor, on Linux, of what has left the group to be
// in a session of its own. A program that fails is treated alike. What one that
// ends well leaves running stays, but loses its output after Grace.
//
// There is no Probe: after a crash Do runs again. Do first makes sure that
// nothing is left of the earlier attempt: on Linux the program ends with this
// process and what it had started is found by an environment variable; on
// Windows all of it ends with this process. On other systems it may still
// run. On systems without process groups every call returns an error that is
// errors.ErrUnsupported.
//
// Check looks whether the program and Dir are there.
func Command(c Exec) update.Step {
	c.Args, c.Undo, c.Env = slices.Clone(c.Args), slices.Clone(c.Undo), slices.Clone(c.Env)
	c.Grace = cmp.Or(max(c.Grace, 0), 5*time.Second)
	s := update.Step{
		Name:  "command",
		Check: func(_ context.Context, t *update.Task) error { return c.check(t) },
		Do:    func(ctx context.Context, t *update.Task) error { return c.run(ctx, t, c.Args) },
	}
	if len(c.Undo) > 0 {
		s.Undo = func(ctx context.Context, t *update.Task) error { return c.run(ctx, t, c.Undo) }
	}
	return s
}

func (c Exec) check(t *update.Task) error {
	if c.Dir != "" {
		if err := isFolder(c.Dir); err != nil {
			return err
		}
	}
	for i, template := range [][]string{c.Args, c.Undo} {
		if i > 0 && len(template) == 0 {
			continue
		}
		args, err := arguments(template, t)
		if err != nil {
			return err
		}
		program := args[0]
		if filepath.Base(program) != program && !filepath.IsAbs(program) {
			program = filepath.Join(c.Dir, program)
		}
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("finding the program: %w", err)
		}
	}
	return nil
}

// arguments fills in the placeholders.
func arguments(template []string, t *update.Task) ([]string, error) {
	args := make([]string, len(template))
	for i, arg := range template {
		args[i] = fill(arg, t, plain)
		if strings.HasPrefix(args[i], "-") && !strings.HasPrefix(arg, "-") {
			return nil, fmt.Errorf("step: argument %q would become the option %q", arg, args[i])
		}
	}
	if len(args) == 0 || args[0] == "" {
		return nil, errors.New("step: no program to run")
	}
	return args, nil
}

// attempt is what the step keeps while a program runs.
type attempt struct {
	ID string // value of attemptVariable; "" when nothing of it is left
}

func (c Exec) run(ctx context.Context, t *update.Task, template []string) error {
	args, err := arguments(template, t)
	if err != nil {
		return err
	}
	var a attempt
	if err := t.Load(&a); err != nil {
		return err
	}
	if a.ID != "" && os.Getenv(attemptVariable) != a.ID { // else we are what it started
		if err := endOrphans(ctx, a.ID); err != nil {
			return fmt.Errorf("ending an earlier attempt: %w", err)
		}
	}
	a.ID = rand.Text()
	if err := t.Save(ctx, a); err != nil {
		return err
	}
	out := &output{to: t.Output()}
	if err := c.start(ctx, t, args, a.ID, out); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("running %q: %w%s", filepath.Base(args[0]), err, out.quote())
	}
	return t.Save(ctx, attempt{})
}

// start runs the program to its end, and ends all of its group if that is not
// a good one.
func (c Exec) start(ctx context.Context, t *update.Task, args []string, id string, out *output) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = os.Environ()
	for _, v := range c.Env {
		cmd.Env = append(cmd.Env, fill(v, t, plain))
	}
	cmd.Env = append(cmd.Env, attemptVariable+"="+id)
	cmd.Stdout, cmd.Stderr = out, out
	g, err := procgroup.New(cmd, procgroup.Options{EndsWithParent: true})
	if err != nil {
		return err
	}
	defer g.Close()
	cmd.Cancel = g.Terminate
	cmd.WaitDelay = c.Grace
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := g.Started(); err != nil {
		g.Kill()
		return errors.Join(err, cmd.Wait())
	}
	err = cmd.Wait()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil
	}
	g.Kill()
	// What has made a session of its own is not in the group any more.
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Grace)
	defer cancel()
	return errors.Join(err, endOrphans(late, id))
}

// endOrphans ends what is left of an attempt, where that can be found.
func endOrphans(ctx context.Context, id string) error {
	err := procgroup.EndMarked(ctx, attemptVariable, func(value string) bool { return value == id })
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// output passes on what a program writes and remembers the end of it.
type output struct {
	to   io.Writer
	tail []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.tail = append(o.tail, p...)
	if extra := len(o.tail) - maxTail; extra > 0 {
		o.tail = slices.Delete(o.tail, 0, extra)
	}
	// Nobody to read it is no reason to end the program.
	_, _ = o.to.Write(p)
	return len(p), nil
}

// quote returns the tail for the end of an error message.
func (o *output) quote() string {
	tail := o.tail
	for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(tail), "\uFFFD"))
	if text == "" {
		return ""
	}
	return "\n" + text
}
