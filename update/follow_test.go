package update_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// followed reads a Follow to its end.
func followed(t *testing.T, list iter.Seq2[update.Event, error]) (events []update.Event) {
	t.Helper()
	for e, err := range list {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// talks is a step that takes a minute and says something every second.
func talks(_ context.Context, task *update.Task) error {
	for i := range 60 {
		fmt.Fprintln(task.Output(), "line", i)
		time.Sleep(time.Second)
	}
	return nil
}

// prints is a step that says one line.
func prints(line string) func(context.Context, *update.Task) error {
	return func(_ context.Context, task *update.Task) error {
		_, err := fmt.Fprintln(task.Output(), line)
		return err
	}
}

func TestFollowYieldsOneRunFromItsFirstEventToItsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p, tool := app(update.Step{Name: "a", Do: talks}), app(update.Step{Name: "b", Do: talks})
		tool.Name, tool.Lock = "tool", "tools"
		u, other := newUpdaterOn(t, state, p, tool), newUpdaterOn(t, state, tool)
		_, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		p.Source = versions{"1.1.0"}
		next := newUpdaterOn(t, state, p)
		run, err := next.Start(t.Context(), ask) // after another of the package
		require.NoError(t, err)
		_, err = other.Start(t.Context(), update.Request{Package: "tool"}) // beside another one
		require.NoError(t, err)

		live := followed(t, next.Follow(t.Context(), run.ID))
		require.Equal(t, update.StateSucceeded, live[len(live)-1].State)
		require.Equal(t, run.Seq, live[0].Seq)
		require.Equal(t, update.EventStarted, live[0].Kind)
		require.Greater(t, len(live), 30)
		var all []update.Event
		for e, err := range u.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if e.Run == run.ID {
				all = append(all, e)
			}
			if e.Run == run.ID && e.Kind == update.EventEnded {
				break
			}
		}
		require.Equal(t, all, live, "it loses none, and has no other")
		require.Equal(t, all, followed(t, next.Follow(t.Context(), run.ID)), "nor when the run has ended")
		require.Equal(t, all, followed(t, other.Follow(t.Context(), run.ID)), "nor for a run of another process")
		for range u.Follow(t.Context(), run.ID) {
			break
		}
	})
}

func TestFollowEndsWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.Open(memory.Config{Retention: storage.Retention{Events: 20}})
		u := newUpdaterOn(t, state, app(update.Step{Name: "a", Do: talks}))
		last := func(ctx context.Context, id string) (err error) {
			for _, err = range u.Follow(ctx, id) {
			}
			return err
		}
		require.ErrorIs(t, last(t.Context(), "unknown"), update.ErrNotFound)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, last(ctx, run.ID), context.DeadlineExceeded)
		why := errors.New("the terminal is gone")
		ctx, leave := context.WithTimeoutCause(t.Context(), 10*time.Second, why)
		defer leave()
		require.ErrorIs(t, last(ctx, run.ID), why)
		_, err = u.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.ErrorIs(t, last(t.Context(), run.ID), update.ErrCompacted, "its first events are gone")

		_, err = state.Journal().Create(t.Context(), update.Run{ID: "bare", Item: "other", State: update.StateSucceeded})
		require.NoError(t, err)
		require.ErrorIs(t, last(t.Context(), "bare"), update.ErrCompacted, "it never had any")
	})
}

// unreadOf is a Journal that cannot read the events of one kind.
type unreadOf struct {
	update.Journal
	kind update.EventKind
}

func (j unreadOf) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return func(yield func(update.Event, error) bool) {
		for e, err := range j.Journal.Watch(ctx, after) {
			if e.Kind == j.kind {
				e = update.Event{Kind: update.EventCorrupt, Seq: e.Seq, Time: e.Time, Run: e.Run}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestFollowPassesWhatCannotBeReadAndEndsWithTheEnd(t *testing.T) {
	for kind, last := range map[update.EventKind]update.EventKind{
		update.EventEnded: update.EventCorrupt, update.EventStep: update.EventEnded, update.EventStarted: update.EventEnded,
	} {
		synctest.Test(t, func(t *testing.T) {
			state := memory.New()
			u, err := update.New(update.Config{
				Locker: state.Locker(), Journal: unreadOf{state.Journal(), kind}, Packages: []update.Package{app(update.Step{Name: "a", Do: talks})},
			})
			require.NoError(t, err)
			defer u.Close()
			run, err := u.Start(t.Context(), ask)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			for range 2 {
				events := followed(t, u.Follow(ctx, run.ID))
				require.Equal(t, last, events[len(events)-1].Kind)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			for _, err = range u.Follow(ctx, run.ID) {
			}
			if last == update.EventCorrupt {
				require.ErrorIs(t, err, context.DeadlineExceeded, "nobody knows yet whether that was all")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestWhatAStepSaysComesInWholeLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		say := func(_ context.Context, task *update.Task) error {
			for _, part := range []string{"be", "gun\r\n\n", "half", " done\nal", "most\n\n", "\n", "waiting for the lock", "", "", "", " ... ", "\nend"} {
				fmt.Fprint(task.Output(), part)
				time.Sleep(700 * time.Millisecond)
			}
			return nil
		}
		u := newUpdater(t, app(update.Step{Name: "a", Do: say}, update.Step{Name: "b", Do: nothing}))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		var log []string
		for _, e := range followed(t, u.Follow(t.Context(), run.ID)) {
			if e.Kind == update.EventLog {
				log = append(log, e.Step+": "+e.Message)
			}
			if e.Kind == update.EventStep && e.Phase == update.PhaseDone && e.Step == "a" {
				require.Equal(t, "a: end", log[len(log)-1], "what a step said comes before its end")
			}
		}
		require.Equal(t, []string{
			"a: begun", "a: half done\nalmost", "a: waiting for the lock", "a:  ... ", "a: end",
		}, log)
	})
}

func TestWhatIsSaidComesInTheOrderInWhichItWasSaid(t *testing.T) {
	asked := func(ctx context.Context, task *update.Task) (update.Applied, error) {
		return update.AppliedPartly, prints("asked")(ctx, task)
	}
	u := newUpdater(t, app(
		update.Step{Name: "a", Do: prints("done"), Verify: prints("verified"), Undo: prints("undone")},
		update.Step{Name: "b", Do: fails("no"), Probe: asked, Undo: prints("undone")},
	))
	run, err := u.Update(t.Context(), ask)
	require.Error(t, err)
	var got []string
	for _, e := range followed(t, u.Follow(t.Context(), run.ID)) {
		if e.Step != "" {
			got = append(got, e.Step+": "+e.Message+string(e.Phase))
		}
	}
	require.Equal(t, []string{
		"a: doing", "a: done", "a: verified", "a: done", "b: doing", "b: nofailed",
		"b: asked", "b: undoing", "b: undone", "b: undone", "a: undoing", "a: undone", "a: undone",
	}, got)
}

func TestKeptDataIsNoPhase(t *testing.T) {
	u := newUpdater(t, app(update.Step{Name: "a", Do: func(ctx context.Context, task *update.Task) error {
		task.Progress(1, 2, "half of it")
		return task.Save(ctx, "a place to go on from")
	}}))
	run, err := u.Update(t.Context(), ask)
	require.NoError(t, err)
	var got []string
	for _, e := range followed(t, u.Follow(t.Context(), run.ID)) {
		got = append(got, fmt.Sprintf("%s %s %s", e.Kind, e.Step, e.Phase))
	}
	require.Equal(t, []string{
		"started  ", "step a doing", "progress a ", "saved a doing", "step a done", "ended  ",
	}, got)
}

func TestPercentNeverFallsAndIsWholeAtTheEndOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(update.Step{Name: "a", Do: func(_ context.Context, task *update.Task) error {
			for _, done := range []int64{5, 2, -1, 11, 10} {
				task.Progress(done, 10, "")
				time.Sleep(2 * time.Second)
			}
			return nil
		}}))
		run, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		var got []int
		for _, e := range followed(t, u.Follow(t.Context(), run.ID)) {
			if e.Kind == update.EventProgress || e.Kind == update.EventEnded {
				got = append(got, e.Percent)
			}
		}
		require.Equal(t, []int{50, 50, 50, 99, 99, 100}, got)
	})
}
