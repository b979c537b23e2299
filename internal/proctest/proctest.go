// Package proctest runs a test program as a child: a process of its own, that can
// be killed.
package proctest

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Env names the role of a child, in its environment.
const Env = "UPKEEP_TEST_ROLE"

// Hangs is how long a test waits for what a child does: it tells a child that
// hangs from a machine that is busy.
const Hangs = 3 * time.Minute

// Roles are what a test program does instead of testing when it is started as a
// child. An error is its last line, after "error:", and the child fails then.
type Roles map[string]func(args []string) error

// Main is the TestMain of a program with roles.
func (r Roles) Main(m *testing.M) {
	role, ok := r[os.Getenv(Env)]
	if !ok {
		os.Exit(Run(m))
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Run runs tests, and lets garbage grow, but for benchmarks: most of what tests
// make lives shortly, and up to a sixth of their time went into looking for the
// rest.
func Run(m *testing.M) int {
	if flag.Parse(); flag.Lookup("test.bench").Value.String() == "" {
		debug.SetGCPercent(400)
	}
	return m.Run()
}

// Forever is the end of a role that is killed, or ends with the test.
func Forever() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// Child is a running process in a role.
type Child struct {
	*exec.Cmd
	t     testing.TB
	in    io.Closer   // ends Forever; the end of this process closes it as well
	lines chan string // of its output, closed at its end

	once sync.Once
	err  error // with which it ended
}

// Start starts a child, which is killed when the test ends.
func (r Roles) Start(t testing.TB, role string, args ...string) *Child {
	t.Helper()
	return r.StartBy(t, func(program ...string) *exec.Cmd { return exec.Command(program[0], program[1:]...) }, role, args...)
}

// StartBy starts a child by a command that runs a program.
func (r Roles) StartBy(t testing.TB, command func(program ...string) *exec.Cmd, role string, args ...string) *Child {
	t.Helper()
	require.Contains(t, r, role)
	c := &Child{t: t, Cmd: command(append([]string{os.Args[0]}, args...)...), lines: make(chan string, 100_000)}
	c.Env = append(os.Environ(), Env+"="+role)
	c.Stderr = os.Stderr
	var err error
	c.in, err = c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Cmd.Start())
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { c.Kill() })
	return c
}

// Lines has the lines of the child's output, and is closed at its end.
func (c *Child) Lines() <-chan string { return c.lines }

// Line returns the next line of the child's output.
func (c *Child) Line() string {
	c.t.Helper()
	select {
	case line, ok := <-c.lines:
		require.True(c.t, ok, "the child ended without a word")
		require.False(c.t, strings.HasPrefix(line, "error:"), line)
		return line
	case <-time.After(Hangs):
		require.Fail(c.t, "the child says nothing")
		return ""
	}
}

// After returns the first line that is not this one.
func (c *Child) After(line string) string {
	c.t.Helper()
	for {
		if next := c.Line(); next != line {
			return next
		}
	}
}

// Rest waits for the end of the child and returns the lines not read yet.
func (c *Child) Rest() []string {
	var lines []string
	for line := range c.lines {
		lines = append(lines, line)
	}
	c.once.Do(func() { c.err = c.Cmd.Wait() })
	return lines
}

// End ends Forever, waits for the end of the child, and returns the lines not
// read yet. It is the end of the test if the child did not end well.
func (c *Child) End() []string {
	c.t.Helper()
	_ = c.in.Close() // it may have ended
	lines := c.Rest()
	require.NoError(c.t, c.err, "%q", lines)
	return lines
}

// Kill ends the child as nothing else does, and returns the lines not read yet.
func (c *Child) Kill() []string {
	_ = c.Process.Kill()
	return c.Rest()
}
