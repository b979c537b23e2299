//go:build linux

package process_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// control is another program that deploys, or controls, and may be killed.
type control struct {
	*testing.T
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string
}

// controlled is one that has not begun, after the test of which nothing runs on.
func controlled(t *testing.T) *control {
	c := &control{T: t, dir: t.TempDir()}
	sweep(t, c.folder())
	t.Cleanup(c.dies)
	return c
}

func (c *control) folder() string { return filepath.Join(c.dir, "services") }

func (c *control) database() string { return filepath.Join(c.dir, "upkeep.db") }

// begins starts it, in a role.
func (c *control) begins(play string, environment ...string) {
	c.Helper()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), role+"="+play, "DIR="+c.folder(), "DB="+c.database())
	c.cmd.Env = append(c.cmd.Env, environment...)
	c.cmd.Stderr = os.Stderr
	var err error
	c.in, err = c.cmd.StdinPipe()
	require.NoError(c, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(c, err)
	require.NoError(c, c.cmd.Start())
	lines := make(chan string, 1000)
	c.out = lines
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
}

func (c *control) does(what string) {
	c.Helper()
	_, err := io.WriteString(c.in, what+"\n")
	require.NoError(c, err)
}

// until reads what it says until a word, and returns what follows.
func (c *control) until(word string) string {
	c.Helper()
	late := time.After(time.Minute)
	var said []string
	for {
		select {
		case line, ok := <-c.out:
			if rest, is := strings.CutPrefix(line, word+" "); is {
				return rest
			}
			said = append(said, line)
			require.True(c, ok, "%q instead of %s", said, word)
			require.NotContains(c, line, "failed", said)
		case <-late:
			require.Fail(c, "it never says so", "%s, but %q", word, said)
		}
	}
}

// dies kills it, if it runs.
func (c *control) dies() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}

// instances are what is in store, by the version.
func (c *control) instances() map[string][]rollout.Instance {
	c.Helper()
	db, err := sqlite.Open(sqlite.Config{Path: c.database()})
	require.NoError(c, err)
	defer db.Close()
	host, err := os.Hostname()
	require.NoError(c, err)
	all := map[string][]rollout.Instance{}
	for i, err := range db.Instances(host).List(c.Context()) {
		require.NoError(c, err)
		all[i.Revision.Version] = append(all[i.Revision.Version], i)
	}
	return all
}

// pids are those that are marked as its own.
func (c *control) pids() (pids []int) {
	for pid := range marked(c, c.folder()) {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}
