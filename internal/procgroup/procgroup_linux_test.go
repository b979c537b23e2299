package procgroup_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/procgroup"
)

func init() {
	// parent starts one that is deaf in a group that ends with it.
	children["parent"] = func(file string) {
		cmd := child("deaf", file)
		g, err := procgroup.New(cmd, procgroup.Options{EndsWithParent: true})
		if err != nil {
			panic(err)
		}
		defer g.Close()
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		time.Sleep(2 * hangs)
	}
	// large listens, and has so much memory that its end takes a while.
	children["large"] = func(file string) {
		memory, err := unix.Mmap(-1, 0, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
		if err != nil {
			panic(err)
		}
		defer func() { _ = unix.Munmap(memory) }()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		tell(file, ln.Addr().(*net.TCPAddr).Port)
		time.Sleep(2 * hangs)
	}
}

const large = 400 << 20

func TestAProgramEndsWithAKilledParentIfItIsTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	parent := child("parent", file)
	require.NoError(t, parent.Start())
	g := procgroup.Adopt(told(t, file))
	require.False(t, empty(t, g))
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	require.NoError(t, g.Wait(t.Context()))
}

func TestAZombieIsNotCounted(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 0")
	g := begin(t, cmd, procgroup.Options{})
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, syscall.Kill(cmd.Process.Pid, 0), "it is still there")
	require.True(t, empty(t, g))
}

func TestWhatIsMarkedIsFoundAndNothingElse(t *testing.T) {
	_, err := exec.LookPath("setsid")
	needstest.Tool(t, "setsid", err == nil)
	const name = "UPKEEP_PROCGROUP_TEST"
	dir := t.TempDir()
	start := func(file, mark string, program ...string) int {
		cmd := child("deaf", filepath.Join(dir, file))
		if len(program) > 0 {
			cmd = exec.Command(program[0], append(program[1:], cmd.Args...)...)
		}
		cmd.Env = append(os.Environ(), mark)
		begin(t, cmd, procgroup.Options{})
		return told(t, filepath.Join(dir, file))
	}
	own := []int{
		start("own", name+"=one"),
		start("apart", name+"=one", "setsid", "--fork"), // not in the group any more
	}
	start("other value", name+"=other")
	start("longer value", name+"=one more")
	start("longer name", "X"+name+"=one")
	start("in a value", "OTHER="+name+"=one")

	marked := func(value string) (pids []int) {
		values, err := procgroup.Marked(name)
		require.NoError(t, err)
		for pid, v := range values {
			if v == value {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	require.ElementsMatch(t, own, marked("one"))
	require.Len(t, marked("one more"), 1)
	require.NoError(t, procgroup.EndMarked(t.Context(), name, func(value string) bool { return value == "one" }))
	require.Empty(t, marked("one"))
	require.Len(t, marked("other"), 1, "others live")
}

func TestWhatWasMarkedHasLetGoOfItsPort(t *testing.T) {
	const name = "UPKEEP_PROCGROUP_TEST_PORT"
	file := filepath.Join(t.TempDir(), "port")
	cmd := child("large", file)
	cmd.Env = append(os.Environ(), name+"=one")
	begin(t, cmd, procgroup.Options{})
	port := told(t, file)
	require.NoError(t, procgroup.EndMarked(t.Context(), name, func(value string) bool { return value == "one" }))
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}
