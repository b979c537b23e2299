//go:build unix

package step_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// alive reports whether a process runs; one that has ended and waits to be
// noticed by its parent does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	// Without memory it does nothing more, though the system may not be done
	// with it, or nobody has asked yet how it ended.
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return runtime.GOOS != "linux" // where it has gone meanwhile
	}
	return !bytes.HasPrefix(memory, []byte("0 "))
}

// pids waits for the file that the child "family" writes.
func pids(t *testing.T, file string) (program, itsChild int) {
	t.Helper()
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(file)
		if err == nil {
			_, err = fmt.Sscan(string(data), &program, &itsChild)
		}
		return err == nil
	}, hangs, 5*time.Millisecond)
	t.Cleanup(func() {
		for _, pid := range []int{program, itsChild} {
			if alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	return program, itsChild
}

func ended(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, hangs, 5*time.Millisecond)
}

func TestCommandRunsAProgramAsItIsWritten(t *testing.T) {
	t.Setenv("INHERITED", "from the test")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	var out bytes.Buffer
	tk := task("one", "1.1.0")
	tk.Log = &out
	args := child("describe", "{version}", "--to={package}@{version}", "$HOME; echo 'x' | *", "", "-x{from}", "{other}")
	s := step.Command(step.Exec{Args: args, Dir: dir, Env: []string{"ADDED=at {version}"}})
	args[3] = "changed"
	require.NoError(t, s.Check(t.Context(), tk))
	require.NoError(t, s.Do(t.Context(), tk))
	var got map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, map[string]any{
		"args": []any{"1.1.0", "--to=demo/site@1.1.0", "$HOME; echo 'x' | *", "", "-x1.0.0", "{other}"},
		"dir":  dir, "added": "at 1.1.0", "inherited": "from the test",
	}, got)
}

func TestCommandNeverMakesAnOptionOfAValue(t *testing.T) {
	for _, arg := range []string{"{version}", "{package}", "{from}", "{from}{version}"} {
		tk := task("one", "-rf")
		tk.Run.Package, tk.Run.From = "-x", "--"
		s := step.Command(step.Exec{Args: child("describe", arg)})
		require.ErrorContains(t, s.Check(t.Context(), tk), "would become the option", arg)
		require.ErrorContains(t, s.Do(t.Context(), tk), "would become the option", arg)
	}
	s := step.Command(step.Exec{Args: []string{"{from}"}})
	tk := task("one", "1.0.0")
	tk.Run.From = ""
	require.ErrorContains(t, s.Check(t.Context(), tk), "no program to run")
}

func TestCommandSaysHowAProgramFailed(t *testing.T) {
	s := step.Command(step.Exec{Args: child("fail", "3")})
	err := s.Do(t.Context(), task("one", "1.1.0"))
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitCode())
	message, tail, _ := strings.Cut(err.Error(), "\n")
	require.Contains(t, message, "exit status 3")
	require.True(t, strings.HasSuffix(tail, "€€€\nthe reason"), tail)
	require.LessOrEqual(t, len(tail), 4<<10)
	require.Greater(t, len(tail), 4000)
	require.True(t, utf8.ValidString(tail))
}

func TestCommandThatCannotStartFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(file, []byte("#!/nowhere\n"), 0o700))
	require.ErrorContains(t, step.Command(step.Exec{Args: []string{file}}).Do(t.Context(), task("one", "1.0.0")), `running "program"`)
}

func TestCommandEndsAllOfItsGroupWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	needstest.Pace(t, 100*time.Millisecond, func(grace time.Duration) bool {
		file := filepath.Join(t.TempDir(), "pids")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := step.Command(step.Exec{Args: child("family", file), Grace: grace})
		done := make(chan error, 1)
		go func() { done <- s.Do(ctx, task("one", "1.1.0")) }()
		program, itsChild := pids(t, file)
		require.True(t, alive(program) && alive(itsChild))
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		ended(t, program)
		ended(t, itsChild)
		_, asked := os.Stat(file + ".asked")
		// Within the grace the program said so, and its output was read.
		return asked == nil && strings.Contains(err.Error(), "started")
	})
}

func TestCommandLeavesAloneWhatAGoodProgramLeavesRunning(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pids")
	s := step.Command(step.Exec{Args: child("family", file, "end at once"), Grace: 100 * time.Millisecond})
	require.NoError(t, s.Do(t.Context(), task("one", "1.1.0")), "it does not hang, although the output is held open")
	_, itsChild := pids(t, file)
	require.True(t, alive(itsChild))
}

func TestCommandLivesAsLongAsItTalks(t *testing.T) {
	t.Parallel()
	needstest.Pace(t, time.Second, func(ttl time.Duration) bool {
		state := memory.New()
		defer state.Close()
		script := fmt.Sprintf("for i in 0 1 2 3 4 5; do sleep %.2f; echo line $i; done", ttl.Seconds()/4)
		talk := step.Named("talk", step.Command(step.Exec{Args: []string{"sh", "-c", script}}))
		silent := step.Named("silent", step.Command(step.Exec{Args: []string{"sleep", "600"}, Grace: ttl / 20}))
		u, err := update.New(update.Config{Store: state, LockTTL: ttl,
			Packages: []update.Package{{Name: "demo/site", Source: source.Static("1.0.0"), Steps: []update.Step{talk, silent}}}})
		require.NoError(t, err)
		defer u.Close()
		run, err := install(t.Context(), u, "1.0.0")
		require.Error(t, err)
		if run.Steps[0].Phase != update.PhaseDone || !strings.Contains(err.Error(), `step "silent": update: stalled`) {
			return false
		}
		var log string
		for e, err := range u.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if e.Kind == update.EventLog {
				log += e.Message + "\n"
			}
			if e.Kind == update.EventEnded {
				break
			}
		}
		return log == "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n"
	})
}

func TestCommandIsUndoneByAnotherOne(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	note := func(text string) []string { return []string{"sh", "-c", `echo "$1" >> "$2"`, "sh", text, log} }
	fails := true
	u := newUpdater(t,
		step.Command(step.Exec{Args: note("to {version} from {from}"), Undo: note("back from {version} to {from}")}),
		step.Named("no undo", step.Command(step.Exec{Args: []string{"true"}})),
		update.Step{Name: "health", Do: func(context.Context, *update.Task) error {
			if fails {
				return errors.New("no good")
			}
			return nil
		}},
	)
	_, err := install(t.Context(), u, "1.0.0")
	require.ErrorIs(t, err, update.ErrFailed)
	fails = false
	_, err = install(t.Context(), u, "1.0.0")
	require.NoError(t, err)
	run, err := install(t.Context(), u, "1.1.0")
	require.NoError(t, err)
	back, err := u.Rollback(t.Context(), run.ID, update.By{})
	require.NoError(t, err)
	_, err = u.Wait(t.Context(), back.ID)
	require.NoError(t, err)
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, "to 1.0.0 from \nback from 1.0.0 to \nto 1.0.0 from \nto 1.1.0 from 1.0.0\nback from 1.1.0 to 1.0.0\n", string(data))
}

func TestCommandFindsOutBeforehandWhatItCannotRun(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), nil, 0o644))
	tests := []struct {
		name, message string
		exec          step.Exec
	}{
		{"a program in the path", "", step.Exec{Args: []string{"sh"}}},
		{"a program in its folder", "", step.Exec{Args: []string{"./tool"}, Dir: dir}},
		{"a program for the undo as well", "", step.Exec{Args: []string{"sh"}, Undo: []string{dir + "/tool"}}},
		{"no program", "no program to run", step.Exec{}},
		{"a program that is not there", "finding the program", step.Exec{Args: []string{"no-such-program"}}},
		{"a program that is not there in its folder", "finding the program", step.Exec{Args: []string{"./other"}, Dir: dir}},
		{"a file that is no program", "finding the program", step.Exec{Args: []string{"./text"}, Dir: dir}},
		{"an undo that is not there", "finding the program", step.Exec{Args: []string{"sh"}, Undo: []string{"no-such-program"}}},
		{"a folder that is not there", "no such file", step.Exec{Args: []string{"sh"}, Dir: dir + "/missing"}},
		{"a folder that is none", "is not a folder", step.Exec{Args: []string{"sh"}, Dir: dir + "/text"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := step.Command(tt.exec).Check(t.Context(), task("one", "1.0.0"))
			if tt.message == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.message)
			}
		})
	}
}
