//go:build unix

package dir_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tempdirtest"
)

func init() { tempdirtest.InMemory() }

// roles are what this program does instead of testing when it is started as a
// child: a process of its own, that can be killed.
var roles = map[string]func(args []string) error{"putter": putter, "racer": racer}

const roleEnv = "UPKEEP_DIR_TEST_ROLE"

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hangs is how long a test waits for what a child does: it tells a child that
// hangs from a machine that is busy.
const hangs = 3 * time.Minute

// child is a running process in a role.
type child struct {
	*exec.Cmd
	t     testing.TB
	lines chan string // of its output, closed at its end

	once sync.Once
}

func startChild(t testing.TB, role string, args ...string) *child {
	t.Helper()
	require.Contains(t, roles, role)
	c := &child{t: t, Cmd: exec.Command(os.Args[0], args...), lines: make(chan string, 100_000)}
	c.Env = append(os.Environ(), roleEnv+"="+role)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { c.kill() })
	return c
}

// line returns the next line of the child's output.
func (c *child) line() string {
	c.t.Helper()
	select {
	case line, ok := <-c.lines:
		require.True(c.t, ok, "the child ended without a word")
		require.False(c.t, strings.HasPrefix(line, "error:"), line)
		return line
	case <-time.After(hangs):
		require.Fail(c.t, "the child says nothing")
		return ""
	}
}

// rest waits for the end of the child and returns the lines not read yet.
func (c *child) rest() []string {
	var lines []string
	for line := range c.lines {
		lines = append(lines, line)
	}
	c.once.Do(func() { _ = c.Wait() })
	return lines
}

// kill ends the child as nothing else does, and returns the lines not read yet.
func (c *child) kill() []string {
	_ = c.Process.Kill()
	return c.rest()
}
