package update_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
)

func TestProgressRisesAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := func(name string, weight int) update.Step {
			return update.Step{Name: name, Weight: weight, Do: func(_ context.Context, task *update.Task) error {
				for i := range 10 {
					task.Progress(int64(i), 10, fmt.Sprintf("%s %d", name, i))
					fmt.Fprintf(task.Output(), "%s line %d\n", name, i)
					time.Sleep(2 * time.Second)
				}
				task.Progress(-5, 10, "nonsense")
				return nil
			}}
		}
		u := newUpdater(t, app(s("a", 1), s("b", 3)))
		run, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		last, log := 0, ""
		var halfway bool
		for e, err := range u.Watch(t.Context(), 0) {
			require.NoError(t, err)
			require.GreaterOrEqual(t, e.Percent, last)
			last = e.Percent
			halfway = halfway || e.Kind == update.EventProgress && e.Step == "b" && e.Percent > 50 && e.Percent < 60
			if e.Kind == update.EventLog {
				require.NotEmpty(t, e.Step)
				require.Equal(t, strings.TrimSpace(e.Message), e.Message, "whole lines without the end of the last")
				log += e.Message + "\n"
			}
			if e.Kind == update.EventEnded {
				break
			}
		}
		require.Equal(t, 100, last)
		require.True(t, halfway)
		require.Contains(t, log, "b line 9\n")
		require.Equal(t, run.Percent, 100)
	})
}

func TestTheDataOfAStepOutlivesIt(t *testing.T) {
	var undone string
	s := update.Step{
		Name: "s",
		Do: func(ctx context.Context, task *update.Task) error {
			return task.Save(ctx, map[string]string{"old": "/v1"})
		},
		Undo: func(_ context.Context, task *update.Task) error {
			var data map[string]string
			err := task.Load(&data)
			undone = data["old"]
			return err
		},
	}
	u := newUpdater(t, app(s, update.Step{Name: "t", Do: fails("no")}))
	_, err := u.Update(t.Context(), ask)
	require.ErrorIs(t, err, update.ErrFailed)
	require.Equal(t, "/v1", undone)

	big := update.Step{Name: "s", Do: func(ctx context.Context, task *update.Task) error { return task.Save(ctx, make([]byte, 1<<20)) }}
	_, err = newUpdater(t, app(big)).Update(t.Context(), ask)
	require.ErrorContains(t, err, "at most 1048576 are allowed")
}

func TestATaskThatATestMakesServesAStep(t *testing.T) {
	var task update.Task
	for range 2 {
		n, err := fmt.Fprintln(task.Output(), "nobody listens")
		require.NoError(t, err)
		require.Equal(t, 15, n)
	}
	task.Progress(1, 2, "half")
	kept := "as it was"
	require.NoError(t, task.Load(&kept))
	require.Equal(t, "as it was", kept)
	require.NoError(t, task.Save(t.Context(), "saved"))
	require.NoError(t, task.Load(&kept))
	require.Equal(t, "saved", kept)

	var said strings.Builder
	task.Log = &said
	fmt.Fprint(task.Output(), "somebody listens")
	require.Equal(t, "somebody listens", said.String())
}
