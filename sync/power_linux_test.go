package sync_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func init() {
	roles["sync once"] = func(args []string) error { return syncOnce(context.Background(), args[0], args[1]) }
}

// traced syncs a device in a process of its own, and returns what that has asked
// the system to do to files.
func traced(t *testing.T, at, device string) []string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	strace := func(program ...string) *exec.Cmd {
		return exec.Command("strace", append([]string{
			"-f", "-qq", "-y", "-s", "300", "-o", out,
			"-e", "trace=openat,mkdirat,renameat,renameat2,linkat,symlinkat,syncfs,fsync", "--",
		}, program...)...)
	}
	c := roles.StartBy(t, strace, "sync once", at, device)
	require.Empty(t, c.End())
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	return strings.Split(string(text), "\n")
}

var (
	makes = regexp.MustCompile(`^\d+ +(openat\(.*O_CREAT|mkdirat\(|renameat2?\(|linkat\(|symlinkat\()`)
	syncs = regexp.MustCompile(`^\d+ +(syncfs\(.*= 0|<\.\.\. syncfs resumed>.*= 0)`)
)

// TestWhatIsNotedOfAFolderIsOnItsDisk: a power cut leaves of a folder what was
// synced. Whatever is noted comes after that: what is staged is there when it is
// noted as staged, and what is placed before nothing is under way any more.
func TestWhatIsNotedOfAFolderIsOnItsDisk(t *testing.T) {
	needstest.Tool(t, "strace, and the right to trace", exec.Command("strace", "-qq", "-o", os.DevNull, "true").Run() == nil)
	at, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, name := range []string{"cloud", "a", "b"} {
		require.NoError(t, os.Mkdir(filepath.Join(at, name), 0o700))
	}
	write := func(round string) {
		for i := range 20 {
			name := filepath.Join(at, "a", fmt.Sprint(i%3), fmt.Sprint(i))
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
			require.NoError(t, os.WriteFile(name, []byte(round+name), 0o600))
		}
	}
	for _, round := range []string{"new", "replaced"} {
		write(round)
		require.NoError(t, syncOnce(t.Context(), at, "a"))
		requireOrder(t, at, traced(t, at, "b"))
		require.Equal(t, contents(t, filepath.Join(at, "a")), contents(t, filepath.Join(at, "b")))
	}
}

// requireOrder checks that the folder b was synced after each change in it, before
// anything was noted.
func requireOrder(t *testing.T, at string, calls []string) {
	t.Helper()
	folder, notes := filepath.Join(at, "b"), filepath.Join(at, "b.notes")
	inFolder := func(call string) bool {
		return strings.Contains(call, "<"+folder+">") || strings.Contains(call, "<"+folder+"/") || strings.Contains(call, `"`+folder+`/`)
	}
	var unsynced string
	staged, placed, noted := 0, 0, 0
	for _, call := range calls {
		switch {
		case syncs.MatchString(call):
			unsynced = ""
		case strings.Contains(call, "rename") && strings.Contains(call, `"`+notes+`"`):
			noted++
			require.Empty(t, unsynced, "before it was synced this was done: %s", call)
		case strings.Contains(call, `"probe-`), strings.Contains(call, `"`+cloudsync.Staging+`"`), strings.Contains(call, `"claim"`):
			// What can be had here is only tried, there may be nothing staged, and a lock
			// is for those who live.
		case makes.MatchString(call) && inFolder(call):
			unsynced = call
			switch {
			case !strings.Contains(call, cloudsync.Staging):
			case strings.Contains(call, "rename"):
				placed++
			default:
				staged++
			}
		}
	}
	require.GreaterOrEqual(t, staged, 20, "what is staged is seen")
	require.GreaterOrEqual(t, placed, 20, "what is placed is seen")
	require.GreaterOrEqual(t, noted, 3, "what is noted is seen")
}
