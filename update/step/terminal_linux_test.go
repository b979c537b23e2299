package step_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

func init() {
	// "command" runs a program as a step, and prints its error.
	children["command"] = func(args []string) {
		s := step.Command(step.Exec{Args: args})
		_, err := fmt.Println("the step says:", s.Do(context.Background(), &update.Task{}))
		if err != nil {
			panic(err)
		}
	}
}

// terminal returns the two ends of a new terminal: what a person sees and
// types, and what a program is given.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	needstest.Tool(t, "terminals (/dev/ptmx)", err == nil)
	t.Cleanup(func() { person.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestAProgramThatAsksOnTheTerminalFailsAtOnce(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"on its terminal":        {"sh", "-c", "read answer </dev/tty"},
		"by a program of its":    {"sh", "-c", "sh -c 'read answer </dev/tty'; exit $?"},
		"on its input":           {"sh", "-c", "read answer || { echo nobody answers >&2; exit 1; }"},
		"of whom it wants noise": {"sh", "-c", "stty -echo </dev/tty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, tty := terminal(t)
			ask := child("command", args...)
			cmd := exec.CommandContext(t.Context(), ask[0], ask[1:]...)
			var out strings.Builder
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, &out, &out
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			require.NoError(t, cmd.Start())
			stop := time.AfterFunc(hangs, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			defer stop.Stop()
			require.NoError(t, cmd.Wait(), "it waited for an answer: %s", out.String())
			require.Contains(t, out.String(), `running "sh": exit status`)
			require.Regexp(t, "tty|nobody answers", out.String(), "in its own words")
		})
	}
}
