package step_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
)

// TestMain makes this test a program that the tests can run: called as
// "child NAME ARGS", it is one of children.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		children[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // updates tell of themselves
	os.Setenv("GORACE", "atexit_sleep_ms=0")       // children end when they are done
	os.Exit(proctest.Run(m))
}

// hangs is how long a test waits for what another goroutine or process does:
// it tells what hangs from a machine that is busy.
const hangs = 3 * time.Minute

// often is few, or in a full test many.
func often(few, many int) int {
	if os.Getenv("UPKEEP_FULL") == "1" {
		return many
	}
	return few
}

// writeProgram writes a file that can be executed at once: a process that is
// started meanwhile does not have it open as well.
func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
}

// endWithParent ends this process with the one that has started it: a test that
// is killed leaves nothing running.
func endWithParent() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}

// child is the command line of a program that is one of children.
func child(name string, args ...string) []string {
	return append([]string{os.Args[0], "child", name}, args...)
}

var children = map[string]func(args []string){
	// describe prints what it is given, as JSON.
	"describe": func(args []string) {
		dir, _ := os.Getwd()
		json.NewEncoder(os.Stdout).Encode(map[string]any{
			"args": args, "dir": dir, "added": os.Getenv("ADDED"), "inherited": os.Getenv("INHERITED"),
		})
	},
	// fail says something long and exits with a status.
	"fail": func(args []string) {
		fmt.Print(strings.Repeat("€", 2000), "\nthe reason\n")
		status, _ := strconv.Atoi(args[0])
		os.Exit(status)
	},
	// family starts a program that holds on to the output and ignores
	// requests to end, writes both pids to a file, and waits; it ends well
	// when asked, or at once.
	"family": func(args []string) {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		cmd := exec.Command(os.Args[0], "child", "deaf", args[0]+".deaf")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		for {
			if _, err := os.Stat(args[0] + ".deaf"); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		pids := fmt.Sprintf("%d %d", os.Getpid(), cmd.Process.Pid)
		os.WriteFile(args[0]+".new", []byte(pids), 0o600)
		os.Rename(args[0]+".new", args[0])
		fmt.Println("started")
		if len(args) == 1 {
			select {
			case <-asked:
			case <-time.After(2 * hangs):
			}
			os.WriteFile(args[0]+".asked", nil, 0o600)
		}
	},
	"deaf": func(args []string) {
		signal.Ignore(syscall.SIGTERM)
		os.WriteFile(args[0], nil, 0o600)
		time.Sleep(2 * hangs)
	},
}
