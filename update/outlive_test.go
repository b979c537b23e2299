package update_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// after is a step as a dead process left it.
func after(name string, phase update.Phase) update.StepRecord {
	return update.StepRecord{Name: name, Phase: phase, Weight: 1, Attempt: 1}
}

func TestARunOutlivesTheStepsItWasMadeWith(t *testing.T) {
	const todo, doing, done, failed = update.PhaseTodo, update.PhaseDoing, update.PhaseDone, update.PhaseFailed
	noUndo := func(r update.StepRecord) update.StepRecord { r.NoUndo = true; return r }
	final := func(r update.StepRecord) update.StepRecord { r.Final = true; return r }
	broken := func(s *update.Step) { s.Do = fails("unhealthy") }
	fine := func(*update.Step) {}
	tests := []struct {
		name   string
		steps  []update.StepRecord
		c      func(*update.Step) // the last step of the new program, which has a, b and c
		calls  []string
		state  update.State
		reason string
	}{
		{"what is done was renamed", []update.StepRecord{after("fetch", done), after("b", done), after("c", doing)}, fine,
			[]string{"do c"}, update.StateSucceeded, ""},
		{"all that was done is gone", []update.StepRecord{after("x", done), after("y", done), after("c", todo)}, fine,
			[]string{"do c"}, update.StateSucceeded, ""},
		{"everything is done and gone", []update.StepRecord{after("x", done), after("y", done)}, fine,
			nil, update.StateSucceeded, ""},
		{"in another order, and steps were added", []update.StepRecord{after("c", done), after("a", todo)}, fine,
			[]string{"do a"}, update.StateSucceeded, ""},
		{"what is gone cannot be undone, all else is",
			[]update.StepRecord{after("a", done), after("x", done), after("b", done), after("y", done), after("c", doing)}, broken,
			[]string{"undo c", "undo b", "undo a"}, update.StateFailed, `step "c": unhealthy; then not undone: ["x" "y"]`},
		{"what is gone needed no undo", []update.StepRecord{after("a", done), noUndo(after("x", done)), after("c", doing)}, broken,
			[]string{"undo c", "undo a"}, update.StateRolledBack, ""},
		{"what had failed is gone", []update.StepRecord{after("a", done), after("x", failed)}, fine,
			[]string{"undo a"}, update.StateFailed, `not undone: ["x"]`},
		{"what had failed is gone and needs no undo", []update.StepRecord{after("a", done), noUndo(after("x", failed))}, fine,
			[]string{"undo a"}, update.StateRolledBack, `step "x"`},
		{"what is under way is gone", []update.StepRecord{after("a", done), after("x", doing), after("c", todo)}, fine,
			[]string{"undo a"}, update.StateFailed, `step "x" is to be done`},
		{"what is still to do is gone, and nothing is begun before that shows",
			[]update.StepRecord{after("a", done), after("b", todo), after("x", todo)}, fine,
			[]string{"undo a"}, update.StateRolledBack, `step "x" is to be done`},
		{"a point of no return is gone", []update.StepRecord{after("a", done), final(after("x", done)), after("c", todo)}, broken,
			nil, update.StateFailed, `step "c": unhealthy`},
		{"an undo fails, and more is gone",
			[]update.StepRecord{after("a", done), after("x", done), after("b", done), after("c", doing)},
			func(s *update.Step) { s.Do, s.Undo = fails("unhealthy"), fails("stuck") },
			nil, update.StateFailed, `undo of step "c": stuck; not undone therefore: ["a" "b"]; not undone: ["x"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c calls
				state := memory.New()
				leave(t, state, unchanged, tt.steps...)
				last := c.step("c")
				tt.c(&last)
				u := newUpdaterOn(t, state, app(c.step("a"), c.step("b"), last))
				time.Sleep(ttl + time.Second)
				require.NoError(t, u.Recover(t.Context()))
				require.Equal(t, tt.calls, c.take())
				run, err := u.Get(t.Context(), "left")
				require.NoError(t, err)
				require.Equal(t, tt.state, run.State, run.Reason)
				require.Contains(t, run.Reason, tt.reason)
			})
		})
	}
}

func TestAWayBackThatOthersBeganIsFinishedWithoutTheStepsThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		leave(t, state, func(r *update.Run) { r.State, r.Reason = update.StateRollingBack, "it was bad" },
			after("a", update.PhaseDone), after("x", update.PhaseUndoing), after("b", update.PhaseUndone))
		u := newUpdaterOn(t, state, app(c.step("a"), c.step("b")))
		time.Sleep(ttl + time.Second)
		require.NoError(t, u.Recover(t.Context()))
		require.Equal(t, []string{"undo a"}, c.take())
		run, err := u.Get(t.Context(), "left")
		require.NoError(t, err)
		require.Equal(t, update.StateFailed, run.State)
		require.Equal(t, `it was bad; then not undone: ["x"], which the package does not have any more`, run.Reason)
		_, err = u.Rollback(t.Context(), "left", ann)
		require.ErrorIs(t, err, update.ErrInvalid, "nothing is left that can be undone")
	})
}

func TestARunOfOtherStepsIsTakenBackWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		look := update.Step{Name: "look", Do: nothing}
		run, err := newUpdaterOn(t, state, app(c.step("a"), look, c.step("b"))).Update(t.Context(), ask)
		require.NoError(t, err)
		c.take()

		_, err = newUpdaterOn(t, state, app(c.step("a"))).Rollback(t.Context(), run.ID, ann)
		require.ErrorIs(t, err, update.ErrInvalid)
		require.ErrorContains(t, err, `not undone: ["b"]`)
		require.Empty(t, c.take(), "what works is not taken back in part")

		u := newUpdaterOn(t, state, app(c.step("b"), c.step("a"), c.step("added")))
		back, err := u.Rollback(t.Context(), run.ID, ann)
		require.NoError(t, err)
		back, err = u.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"undo b", "undo a"}, c.take(), "in the order in which it was done")
		require.Equal(t, update.StateSucceeded, back.State)
	})
}

func TestARunRemembersWhatItsStepsAreLike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heavy := update.Step{Name: "heavy", Do: nothing, Weight: 7, PointOfNoReturn: true}
		var c calls
		run, err := newUpdater(t, app(c.step("a"), heavy)).Update(t.Context(), ask)
		require.NoError(t, err)
		require.Equal(t, []update.StepRecord{
			{Name: "a", Phase: update.PhaseDone, Attempt: 1, Weight: 1},
			{Name: "heavy", Phase: update.PhaseDone, Attempt: 1, Weight: 7, Final: true, NoUndo: true},
		}, withoutTimes(run.Steps))
	})
}

func withoutTimes(steps []update.StepRecord) []update.StepRecord {
	for i := range steps {
		steps[i].StartedAt, steps[i].EndedAt = time.Time{}, time.Time{}
	}
	return steps
}

// percents are the shares that the events of a run told, one after another,
// each once.
func percents(t *testing.T, u *update.Updater, id string) (all []int) {
	t.Helper()
	for e, err := range u.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if e.Run != id {
			continue
		}
		if len(all) == 0 || all[len(all)-1] != e.Percent {
			all = append(all, e.Percent)
		}
		if e.Kind == update.EventEnded {
			return all
		}
	}
	return all
}

func TestPercentCountsTheStepsOfTheRun(t *testing.T) {
	weigh := func(r update.StepRecord, weight int) update.StepRecord { r.Weight = weight; return r }
	heavy := func(name string, weight int) update.Step { return update.Step{Name: name, Do: nothing, Weight: weight} }
	tests := []struct {
		name  string
		steps []update.StepRecord
		now   []update.Step
		want  []int
	}{
		{"a step that is gone keeps its weight",
			[]update.StepRecord{weigh(after("x", update.PhaseDone), 6), weigh(after("a", update.PhaseTodo), 2), weigh(after("b", update.PhaseTodo), 2)},
			[]update.Step{heavy("a", 2), heavy("b", 2)}, []int{0, 80, 100}},
		{"a step that was added has none in this run",
			[]update.StepRecord{weigh(after("a", update.PhaseTodo), 1), weigh(after("b", update.PhaseTodo), 1)},
			[]update.Step{heavy("a", 1), heavy("b", 1), heavy("added", 98)}, []int{0, 50, 100}},
		{"what was done before the process died counts",
			[]update.StepRecord{weigh(after("a", update.PhaseDone), 3), weigh(after("b", update.PhaseTodo), 1), weigh(after("c", update.PhaseTodo), 4)},
			[]update.Step{heavy("a", 3), heavy("b", 1), heavy("c", 4)}, []int{0, 50, 100}},
		{"a record without weights goes by the steps",
			[]update.StepRecord{{Name: "a", Phase: update.PhaseDone}, {Name: "b", Phase: update.PhaseTodo}, {Name: "c", Phase: update.PhaseTodo}},
			[]update.Step{heavy("a", 3), heavy("b", 1), heavy("c", 4)}, []int{0, 50, 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := memory.New()
				leave(t, state, unchanged, tt.steps...)
				u := newUpdaterOn(t, state, app(tt.now...))
				time.Sleep(ttl + time.Second)
				require.NoError(t, u.Recover(t.Context()))
				require.Equal(t, tt.want, percents(t, u, "left"))
			})
		})
	}
}

func TestPercentOfARollBackCountsWhatIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		a, b, d := c.step("a"), c.step("b"), c.step("c")
		a.Weight, b.Weight, d.Weight = 1, 4, 5
		stuck := true
		b.Undo = func(context.Context, *update.Task) error {
			if stuck {
				return errors.New("stuck")
			}
			return nil
		}
		u := newUpdater(t, app(a, b, d))
		run, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		for _, want := range [][]int{{0, 50}, {0, 90, 100}} {
			back, err := u.Rollback(t.Context(), run.ID, ann)
			require.NoError(t, err)
			back, _ = u.Wait(t.Context(), back.ID)
			require.Equal(t, want, percents(t, u, back.ID))
			stuck = false
		}
	})
}

func TestTheRecordOfAStepSaysWhyItFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(update.Step{Name: "a", Do: nothing}, update.Step{Name: "b", Do: fails("disk full")}))
		run, err := u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrFailed)
		require.Equal(t, []string{"", "disk full"}, []string{run.Steps[0].Error, run.Steps[1].Error})
	})
}

func TestWithoutANameOfItsOwnAHolderIsItsHostAndProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		held, err := lease.Hold(t.Context(), state.Locker(), "item", lease.HoldConfig{})
		require.NoError(t, err)
		defer held.Release()
		require.Regexp(t, `^[^#]+:[0-9]+#[a-z0-9]{6}$`, held.Lease().Owner)
		run, err := newUpdaterOn(t, state, app(update.Step{Name: "a", Do: nothing})).Update(t.Context(), ask)
		require.NoError(t, err)
		require.Regexp(t, `^[^#]+:[0-9]+#[a-z0-9]{6}$`, run.Owner)
	})
}

func TestWhoWaitsForAProgramThatCameBackWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p, tool := app(update.Step{Name: "s", Do: minute}), app(update.Step{Name: "s", Do: nothing})
		tool.Name = "tool"
		u := newUpdaterOn(t, state, p)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		require.NoError(t, u.Close())
		start, recovered := time.Now(), make(chan error, 1)
		time.AfterFunc(10*time.Second, func() { recovered <- newUpdaterOn(t, state, p).Recover(t.Context()) })
		_, err = newUpdaterOn(t, state, tool).Update(t.Context(), update.Request{Package: "tool", Wait: true})
		require.NoError(t, err)
		require.Less(t, time.Since(start), 75*time.Second)
		require.NoError(t, <-recovered)
		run, err = u.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}
