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

// leave records a run of "app" as a process that died left it.
func leave(t *testing.T, state *memory.DB, change func(*update.Run), steps ...update.StepRecord) update.Run {
	t.Helper()
	held, err := state.Locker().Acquire(t.Context(), lease.Item("update", update.DefaultLock), "a dead process", ttl)
	require.NoError(t, err)
	run := update.Run{
		ID: "left", Package: "app", Item: update.DefaultLock, Version: "1.0.0", Release: update.Release{Version: "1.0.0"},
		State: update.StateRunning, Steps: steps, Token: held.Token, Request: ask,
	}
	change(&run)
	run, err = state.Journal().Create(t.Context(), run, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	return run
}

func unchanged(*update.Run) {}

func TestARunThatADeadProcessLeftIsFinishedOrRolledBack(t *testing.T) {
	doing := func(attempt int) []update.StepRecord {
		return []update.StepRecord{
			{Name: "a", Phase: update.PhaseDone}, {Name: "b", Phase: update.PhaseDoing, Attempt: attempt}, {Name: "c", Phase: update.PhaseTodo},
		}
	}
	finds := func(applied update.Applied, err error) func(*update.Step) {
		return func(s *update.Step) {
			s.Probe = func(context.Context, *update.Task) (update.Applied, error) { return applied, err }
		}
	}
	cancelled := func(r *update.Run) { r.Cancel = &update.By{Actor: "ann", Reason: "changed my mind"} }
	back := func(r *update.Run) { r.State, r.Reason = update.StateRollingBack, "first reason" }
	tests := []struct {
		name   string
		steps  []update.StepRecord
		change func(*update.Run)
		b      func(*update.Step)
		calls  []string
		state  update.State
	}{
		{"it had failed", []update.StepRecord{
			{Name: "a", Phase: update.PhaseDone}, {Name: "b", Phase: update.PhaseFailed, Error: "no"}, {Name: "c", Phase: update.PhaseTodo},
		}, unchanged, finds(update.AppliedYes, nil), []string{"undo b", "undo a"}, update.StateRolledBack},
		{"no probe: again", doing(1), unchanged, func(*update.Step) {}, []string{"do b", "do c"}, update.StateSucceeded},
		{"not there: again", doing(1), unchanged, finds(update.AppliedNo, nil), []string{"do b", "do c"}, update.StateSucceeded},
		{"unknown: again", doing(1), unchanged, finds(update.AppliedUnknown, nil), []string{"do b", "do c"}, update.StateSucceeded},
		{"there: once", doing(1), unchanged, finds(update.AppliedYes, nil), []string{"do c"}, update.StateSucceeded},
		{"half there: undone, again", doing(1), unchanged, finds(update.AppliedPartly, nil), []string{"undo b", "do b", "do c"}, update.StateSucceeded},
		{"the probe fails", doing(1), unchanged, finds(0, errors.New("?")), []string{"undo b", "undo a"}, update.StateRolledBack},
		{"killed its process three times", doing(3), unchanged, func(*update.Step) {}, []string{"undo b", "undo a"}, update.StateRolledBack},
		{"killed its process, yet there", doing(3), unchanged, finds(update.AppliedYes, nil), []string{"do c"}, update.StateSucceeded},
		{"cancelled meanwhile", doing(1), cancelled, func(*update.Step) {}, []string{"undo b", "undo a"}, update.StateCancelled},
		{"on its way back", doing(1), back, func(*update.Step) {}, []string{"undo b", "undo a"}, update.StateRolledBack},
		{"on its way back, not there", doing(1), back, finds(update.AppliedNo, nil), []string{"undo a"}, update.StateRolledBack},
		{"in the middle of an undo", []update.StepRecord{
			{Name: "a", Phase: update.PhaseDone}, {Name: "b", Phase: update.PhaseUndoing}, {Name: "c", Phase: update.PhaseUndone},
		}, back, func(*update.Step) {}, []string{"undo b", "undo a"}, update.StateRolledBack},
		{"past the point of no return", doing(1), unchanged, func(s *update.Step) { s.PointOfNoReturn = true },
			[]string{"do b", "do c"}, update.StateSucceeded},
		{"past it, cancelled", doing(1), cancelled, func(s *update.Step) { s.PointOfNoReturn = true },
			[]string{"do b", "do c"}, update.StateSucceeded},
		{"a step is gone", []update.StepRecord{{Name: "a", Phase: update.PhaseDone}, {Name: "gone", Phase: update.PhaseTodo}},
			unchanged, func(*update.Step) {}, []string{"undo a"}, update.StateRolledBack},
		{"a step that was done is gone", []update.StepRecord{{Name: "gone", Phase: update.PhaseDone}, {Name: "c", Phase: update.PhaseTodo}},
			unchanged, func(*update.Step) {}, []string{"do c"}, update.StateSucceeded},
		{"before its last record", []update.StepRecord{{Name: "a", Phase: update.PhaseDone}},
			unchanged, func(*update.Step) {}, nil, update.StateSucceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c calls
				b := c.step("b")
				tt.b(&b)
				state := memory.New()
				leave(t, state, tt.change, tt.steps...)
				u := newUpdaterOn(t, state, app(c.step("a"), b, c.step("c")))

				require.NoError(t, u.Recover(t.Context()))
				require.Empty(t, c.take(), "its lease may be alive")

				time.Sleep(ttl + time.Second)
				require.NoError(t, u.Recover(t.Context()))
				require.Equal(t, tt.calls, c.take())
				run, err := u.Get(t.Context(), "left")
				require.NoError(t, err)
				require.Equal(t, tt.state, run.State, run.Reason)
				require.NoError(t, u.Recover(t.Context()))
				require.Empty(t, c.take(), "once is enough")
			})
		})
	}
}

func TestStartSettlesFirstWhatADeadProcessLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		leave(t, state, unchanged, update.StepRecord{Name: "a", Phase: update.PhaseDoing, Attempt: 1})
		p := app(c.step("a"))
		p.Source = versions{"1.0.0", "1.1.0"}
		u := newUpdaterOn(t, state, p)
		_, err := u.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrBusy)
		time.Sleep(ttl + time.Second)
		run, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		require.Equal(t, "1.0.0", run.From, "the run that was left had first come to its end")
		require.Equal(t, []string{"do a", "do a"}, c.take())
	})
}

func TestRunRecoversSoonAfterAnotherProcessHasDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		u := newUpdaterOn(t, state, app(c.step("a")))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- u.Run(ctx) }()
		left := leave(t, state, unchanged, update.StepRecord{Name: "a", Phase: update.PhaseTodo})
		start := time.Now()
		_, err := u.Wait(t.Context(), left.ID)
		require.NoError(t, err)
		require.Less(t, time.Since(start), ttl+6*time.Second)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestRunEndsWithItsUpdater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(update.Step{Name: "s", Do: nothing}))
		ended := make(chan error)
		go func() { ended <- u.Run(t.Context()) }()
		time.Sleep(time.Minute)
		require.NoError(t, u.Close())
		require.ErrorIs(t, <-ended, update.ErrClosed)
		_, err := u.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrClosed)
		require.NoError(t, u.Close())
	})
}

func TestShutdownLeavesARunBetweenTwoSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		a := c.step("a")
		a.Do = func(ctx context.Context, _ *update.Task) error {
			time.Sleep(time.Minute)
			c.add("do a")
			return ctx.Err()
		}
		u := newUpdaterOn(t, state, app(a, c.step("b")))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		waited := make(chan error)
		go func() { _, err := u.Wait(t.Context(), run.ID); waited <- err }()
		synctest.Wait()
		require.NoError(t, u.Shutdown(t.Context()))
		require.Equal(t, []string{"do a"}, c.take())
		require.ErrorIs(t, <-waited, update.ErrClosed)
		_, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrClosed, "nobody here works on it any more")

		next := newUpdaterOn(t, state, app(a, c.step("b")))
		start := time.Now()
		require.NoError(t, next.Recover(t.Context()))
		require.Zero(t, time.Since(start), "the lock was released")
		require.Equal(t, []string{"do b"}, c.take(), "a was recorded as done")
	})
}

// cutJournal is a Journal whose connection can be cut.
func TestOnFinishIsToldOfRecoveredRunsOnceTheirLockIsFree(t *testing.T) {
	for name, end := range map[string]func(context.Context, *update.Updater) error{
		"by Recover": func(ctx context.Context, u *update.Updater) error { return u.Recover(ctx) },
		"by Start": func(ctx context.Context, u *update.Updater) error {
			_, err := u.Update(ctx, ask)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := memory.New()
				leave(t, state, unchanged, update.StepRecord{Name: "a", Phase: update.PhaseTodo})
				time.Sleep(ttl + time.Second)
				var told []string
				p := app(update.Step{Name: "a", Do: nothing})
				p.Source = versions{"1.0.0", "1.1.0"}
				u, err := update.New(update.Config{
					Store: state, Packages: []update.Package{p},
					OnFinish: func(run update.Run) {
						if _, err := state.Locker().Holder(t.Context(), lease.Item("update", "core")); !errors.Is(err, lease.ErrFree) {
							t.Error("the lock is not free:", err)
						}
						told = append(told, run.Version)
					},
				})
				require.NoError(t, err)
				require.NoError(t, end(t.Context(), u))
				require.NoError(t, u.Close())
				require.Equal(t, "1.0.0", told[0])
			})
		})
	}
}

// lastReplyLost is a Journal that never answers to the end of a run.
func TestARunOnWhichNobodyWorksAndWhoseLockWentOnIsNotCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		left := leave(t, state, unchanged, update.StepRecord{Name: "a", Phase: update.PhaseTodo})
		time.Sleep(ttl + time.Second)
		other := app(update.Step{Name: "s", Do: nothing})
		other.Name = "other"
		_, err := newUpdaterOn(t, state, other).Update(t.Context(), update.Request{Package: "other"})
		require.NoError(t, err)

		u := newUpdaterOn(t, state, app(update.Step{Name: "a", Do: nothing}))
		require.ErrorIs(t, u.Cancel(t.Context(), left.ID, ann), update.ErrStale)
		require.NoError(t, u.Recover(t.Context()), "it can be taken up all the same")
		run, err := u.Get(t.Context(), left.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}
