package step_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// become runs a step's function in a process that becomes another one in it.
func become(t *testing.T, f func(context.Context, *update.Task) error, tk *update.Task) {
	t.Helper()
	done, returned := make(chan struct{}), true
	go func() {
		defer close(done)
		err := f(t.Context(), tk)
		returned = true
		t.Error("it did not become another program", err)
	}()
	returned = false
	<-done
	require.False(t, returned)
}

func TestAnUpdateIsTakenBackAfterALaterOneHasGoneBack(t *testing.T) {
	in := newInstalled(t)
	exec := func(string, []string) error { runtime.Goexit(); return nil }
	program, err := step.BeginOn(durable.OS, false, in.path, exec)
	require.NoError(t, err)
	s := step.SwapBinary(in.binary())
	first, second := in.task(t, "one", app("1.1.0")), in.task(t, "two", app("1.2.0"))
	restarts := [2]*update.Task{releaseTask(first.Release), releaseTask(second.Release)}
	restarts[0].Run.ID, restarts[1].Run.ID = "one", "two"

	require.NoError(t, s.Do(t.Context(), first))
	become(t, step.RestartAs("a", program).Do, restarts[0])
	require.NoError(t, s.Do(t.Context(), second))
	become(t, step.RestartAs("b", program).Do, restarts[1])
	require.Equal(t, app("1.2.0"), in.content(t))

	for i, content := range []string{app("1.1.0"), app("1.0.0")} {
		tk := restarts[1-i]
		applied, err := step.RestartAs("c", program).Probe(t.Context(), tk)
		require.NoError(t, err)
		require.Equal(t, update.AppliedYes, applied)
		become(t, step.RestartAs("c", program).Undo, tk)
		require.Equal(t, content, in.content(t))
		require.NoError(t, step.RestartAs("d", program).Undo(t.Context(), tk), "this is the old program")
		require.NoError(t, s.Undo(t.Context(), []*update.Task{second, first}[i]))
		require.Equal(t, content, in.content(t))
	}
}

func TestRestartKnowsWhetherItHasHappened(t *testing.T) {
	in := newInstalled(t)
	program, err := step.BeginOn(durable.OS, false, in.path, func(string, []string) error { runtime.Goexit(); return nil })
	require.NoError(t, err)
	tk := releaseTask(releaseOf(nil))
	probe := func(process string) update.Applied {
		applied, err := step.RestartAs(process, program).Probe(t.Context(), tk)
		require.NoError(t, err)
		return applied
	}
	require.Equal(t, update.AppliedNo, probe("a"))
	become(t, step.RestartAs("a", program).Do, tk)
	require.Equal(t, update.AppliedNo, probe("a"))
	require.Equal(t, update.AppliedYes, probe("b"))
	require.NoError(t, step.RestartAs("b", program).Verify(t.Context(), tk), "nothing is on trial")
	require.NoError(t, step.RestartAs("b", program).Undo(t.Context(), tk))
	require.NoError(t, step.RestartAs("a", program).Check(t.Context(), tk))
	require.ErrorContains(t, step.Restart(nil, nil).Check(t.Context(), tk), "needs the Program of Begin")
}

func TestRestartGivesUpOnAProgramThatNeverSaysAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstalled(t)
		program, err := step.BeginOn(durable.OS, false, in.path, nil) // and the release never calls it
		require.NoError(t, err)
		tk := in.task(t, "one", app("1.1.0"))
		require.NoError(t, step.SwapBinary(in.binary()).Do(t.Context(), tk))
		start := time.Now()
		err = step.RestartAs("b", program).Verify(t.Context(), tk)
		require.ErrorContains(t, err, "release 1.1.0 did not confirm itself within 1m0s")
		require.GreaterOrEqual(t, time.Since(start), time.Minute+10*time.Second)
		require.Less(t, time.Since(start), time.Minute+11*time.Second)
	})
}
