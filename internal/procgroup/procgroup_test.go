//go:build unix

package procgroup_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/procgroup"
)

// TestMain makes this test a program that the tests can run: called as
// "child NAME FILE", it is one of children.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "child" {
		children[os.Args[2]](os.Args[3])
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // children end when they are done
	os.Exit(m.Run())
}

// hangs is how long a test waits for another process: it tells what hangs from
// a machine that is busy.
const hangs = 3 * time.Minute

var children = map[string]func(file string){
	// deaf ignores requests to end.
	"deaf": func(file string) {
		signal.Ignore(syscall.SIGTERM)
		tell(file, os.Getpid())
		time.Sleep(2 * hangs)
	},
	// leader starts one that is deaf, and ends.
	"leader": func(file string) { run(file, "deaf", false) },
	// keeper starts one that is deaf in a group that does not end with it.
	"keeper": func(file string) {
		run(file, "deaf", true)
		time.Sleep(2 * hangs)
	},
}

func tell(file string, pid int) {
	if err := os.WriteFile(file+".new", fmt.Append(nil, pid), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		panic(err)
	}
}

// run starts a child, in a group of its own or not, and waits until it has told
// its pid.
func run(file, name string, group bool) {
	cmd := child(name, file)
	if group {
		g, err := procgroup.New(cmd, procgroup.Options{})
		if err != nil {
			panic(err)
		}
		defer g.Close()
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func child(name, file string) *exec.Cmd { return exec.Command(os.Args[0], "child", name, file) }

// told waits for the pid that a child tells. It is killed when the test is over.
func told(t *testing.T, file string) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(file)
		if err == nil {
			_, err = fmt.Sscan(string(data), &pid)
		}
		return err == nil
	}, hangs, time.Millisecond)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// begin starts a program as the leader of a group, which is killed when the test
// is over.
func begin(t *testing.T, cmd *exec.Cmd, o procgroup.Options) *procgroup.Group {
	t.Helper()
	g, err := procgroup.New(cmd, o)
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, g.Started())
	t.Cleanup(func() {
		g.Kill()
		if cmd.ProcessState == nil {
			_ = cmd.Wait()
		}
		g.Close()
	})
	return g
}

func empty(t *testing.T, g *procgroup.Group) bool {
	t.Helper()
	yes, err := g.Empty()
	require.NoError(t, err)
	return yes
}

func TestAGroupLastsAsLongAsOneOfIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	cmd := child("leader", file)
	own := begin(t, cmd, procgroup.Options{})
	deaf := told(t, file)
	require.NoError(t, cmd.Wait(), "the leader has ended")
	adopted := procgroup.Adopt(cmd.Process.Pid)
	groups := []*procgroup.Group{own, adopted}
	for _, g := range groups {
		require.False(t, empty(t, g))
		require.NoError(t, g.Terminate())
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		require.ErrorIs(t, g.Wait(short), context.DeadlineExceeded, "what is left does not listen")
		cancel()
	}
	require.NoError(t, syscall.Kill(deaf, 0))
	adopted.Kill()
	for _, g := range groups {
		require.NoError(t, g.Wait(t.Context()))
		require.True(t, empty(t, g))
	}
}

func TestWhatNobodyLeadsIsEmpty(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exec sleep 600")
	require.NoError(t, cmd.Start())
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	require.True(t, empty(t, procgroup.Adopt(cmd.Process.Pid)), "it is of the group of this test")
	require.True(t, empty(t, procgroup.Adopt(4194304)))
}

// A signal to the groups 0 and 1 would be one to this group or to everybody.
func TestWhatIsNoGroupGetsNoSignal(t *testing.T) {
	notStarted, err := procgroup.New(exec.Command("true"), procgroup.Options{})
	require.NoError(t, err)
	for _, g := range []*procgroup.Group{procgroup.Adopt(0), procgroup.Adopt(1), procgroup.Adopt(-1), notStarted} {
		require.ErrorContains(t, g.Terminate(), "not the number of a group")
		g.Kill()
		_, err := g.Empty()
		require.ErrorContains(t, err, "not the number of a group")
		require.ErrorContains(t, g.Wait(t.Context()), "not the number of a group")
	}
}

func TestAGroupOutlivesAKilledParent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	keeper := child("keeper", file)
	require.NoError(t, keeper.Start())
	g := procgroup.Adopt(told(t, file))
	require.NoError(t, keeper.Process.Kill())
	require.Error(t, keeper.Wait())
	require.Never(t, func() bool { return empty(t, g) }, 100*time.Millisecond, 10*time.Millisecond)
	g.Kill()
	require.NoError(t, g.Wait(t.Context()))
}
