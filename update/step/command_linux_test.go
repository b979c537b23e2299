package step_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// family is an Updater whose only step runs the child "family", with end as
// its second argument, or none.
func family(dir string, end ...string) (*update.Updater, func(), error) {
	state, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db")})
	if err != nil {
		return nil, nil, err
	}
	run := step.Command(step.Exec{Args: child("family", append([]string{filepath.Join(dir, "pids")}, end...)...), Grace: 50 * time.Millisecond})
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: source.Static("1.0.0"), Steps: []update.Step{step.Named("run", run)}},
	}})
	return u, func() { _, _ = u.Close(), state.Close() }, err
}

func init() {
	children["update family"] = func(args []string) {
		u, _, err := family(args[0])
		if err != nil {
			panic(err)
		}
		_, _ = u.Update(context.Background(), update.Request{Package: "demo/site"})
	}
}

func TestNothingOfACommandOutlivesAKilledUpdateIntoTheNextAttempt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := child("update family", dir)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	program, itsChild := pids(t, filepath.Join(dir, "pids"))
	require.NoError(t, cmd.Process.Kill())
	require.True(t, killed(t, cmd))
	ended(t, program)
	require.True(t, alive(itsChild), "else there is nothing to show")

	for _, name := range []string{"pids", "pids.deaf"} {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
	u, closeAll, err := family(dir, "end at once")
	require.NoError(t, err)
	defer closeAll()
	require.NoError(t, u.Recover(t.Context()))
	require.False(t, alive(itsChild))
	_, another := pids(t, filepath.Join(dir, "pids"))
	require.NotEqual(t, itsChild, another, "the command was run again")
}

func TestNothingStaysOfACommandThatDoesNotEndWell(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("setsid")
	needstest.Tool(t, "setsid", err == nil)
	for name, end := range map[string]string{
		"cancelled":                 "sleep 60",
		"cancelled and deaf":        "trap '' TERM; while :; do sleep 0.1; done",
		"failed":                    "exit 3",
		"failed, and its child had": "(exit 3)",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pids")
			s := step.Command(step.Exec{Grace: 2 * time.Second, Args: []string{"sh", "-c", `setsid sh -c 'sleep 60 & echo $$ $! > "$0.new"; mv "$0.new" "$0"; wait' "$0" >/dev/null 2>&1 &
				until [ -e "$0" ]; do sleep 0.01; done; ` + end, file}})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Do(ctx, task("one", "1.0.0")) }()
			program, itsChild := pids(t, file)
			if strings.HasPrefix(name, "cancelled") {
				cancel()
			}
			require.Error(t, <-done)
			require.False(t, alive(program))
			require.False(t, alive(itsChild))
		})
	}
}
