package proctest_test

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
)

var roles = proctest.Roles{
	"count": func(args []string) error {
		for range 3 {
			fmt.Println("one")
		}
		fmt.Println(args[0])
		return proctest.Forever()
	},
	"fail": func([]string) error { return errors.New("as it should") },
}

func TestMain(m *testing.M) { roles.Main(m) }

func TestAChildPlaysItsRoleAndEndsWhenItIsTold(t *testing.T) {
	c := roles.Start(t, "count", "two")
	require.Equal(t, "one", c.Line())
	require.Equal(t, "two", c.After("one"))
	require.Empty(t, c.End())
	require.True(t, c.ProcessState.Success())
}

func TestAChildIsKilledAndWhatItSaidIsRead(t *testing.T) {
	c := roles.Start(t, "count", "two")
	require.Equal(t, "one", c.Line())
	require.Equal(t, "two", c.After("one"))
	require.Empty(t, c.Kill())
	require.False(t, c.ProcessState.Success())
	require.Empty(t, c.Kill(), "it may be killed twice")
}

func TestAChildThatFailsSaysWhy(t *testing.T) {
	c := roles.Start(t, "fail")
	require.Equal(t, []string{"error: as it should"}, c.Rest())
	require.Equal(t, 1, c.ProcessState.ExitCode())
}

func TestAChildCanBeStartedByAnotherProgram(t *testing.T) {
	c := roles.StartBy(t, func(program ...string) *exec.Cmd { return exec.Command(program[0], append(program[1:], "more")...) }, "count", "two")
	require.Equal(t, "two", c.After("one"))
	c.End()
}
