package update_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestARunIsTakenUpUnderTheLockItWasLeftUnder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		old := newUpdaterOn(t, state, app(c.blocks("a")))
		run, err := old.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()

		moved := app(c.step("a"))
		moved.Lock = "another lock"
		next := newUpdaterOn(t, state, moved)
		require.NoError(t, next.Recover(t.Context()))
		require.Equal(t, []string{"do a"}, c.take(), "somebody works on it")
		_, err = next.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrBusy)

		require.NoError(t, old.Cancel(t.Context(), run.ID, ann))
		_, err = old.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		_, err = next.Update(t.Context(), ask)
		require.NoError(t, err)
	})
}

func TestErrorsOfAStepAreItsOwn(t *testing.T) {
	for _, err := range []error{
		lease.ErrLost, update.ErrStale, update.ErrExists, lease.ErrHeld, update.ErrClosed, update.ErrCancelled,
		update.ErrNotFound, update.ErrInvalid, update.ErrUpToDate, update.ErrTooLate, context.Canceled,
	} {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c calls
				a := c.step("a")
				a.Do = func(context.Context, *update.Task) error { return fmt.Errorf("inner: %w", err) }
				run, got := newUpdater(t, app(a)).Update(t.Context(), ask)
				require.ErrorIs(t, got, update.ErrFailed)
				require.Equal(t, update.StateRolledBack, run.State)
				require.Equal(t, []string{"undo a"}, c.take())

				b := c.step("b")
				b.Check = a.Do
				run, got = newUpdater(t, app(b)).Start(t.Context(), ask)
				require.ErrorIs(t, got, update.ErrFailed)
				require.ErrorIs(t, got, err)
				require.Empty(t, run.ID)
			})
		})
	}
}

func TestACheckIsWatchedLikeAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		s := update.Step{Name: "s", Do: nothing, Check: func(ctx context.Context, task *update.Task) error {
			fmt.Fprintln(task.Output(), "looking")
			<-ctx.Done()
			return ctx.Err()
		}}
		u := newUpdaterOn(t, state, app(s))
		start := time.Now()
		_, err := u.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrStalled)
		require.Equal(t, ttl, time.Since(start))

		go func() {
			time.Sleep(time.Second)
			held, err := state.Locker().Holder(t.Context(), lease.Item("update", "core"))
			if err != nil || u.Break(t.Context(), "core", held.Token, ann) != nil {
				t.Error("the lock was not broken")
			}
		}()
		_, err = u.Start(t.Context(), ask)
		require.ErrorIs(t, err, lease.ErrLost)
	})
}

func TestAPanicOfThePackageIsAnErrorOfStart(t *testing.T) {
	p := app(update.Step{Name: "s", Do: nothing})
	p.Current = func(context.Context) (string, error) { panic("oh") }
	state := memory.New()
	_, err := newUpdaterOn(t, state, p).Start(t.Context(), ask)
	require.ErrorContains(t, err, "panic: oh")
	_, err = state.Locker().Holder(t.Context(), lease.Item("update", "core"))
	require.ErrorIs(t, err, lease.ErrFree)
}

func TestRunsUnderDifferentLocksAreRecoveredAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		slow := update.Step{Name: "s", Do: func(ctx context.Context, task *update.Task) error {
			for range 120 {
				time.Sleep(time.Minute)
				task.Progress(1, 2, "slow")
			}
			return nil
		}}
		first, second := app(slow), app(update.Step{Name: "s", Do: nothing})
		second.Name, second.Lock = "tool", "tools"
		for _, p := range []update.Package{first, second} {
			held, err := state.Locker().Acquire(t.Context(), lease.Item("update", map[string]string{"app": "core", "tool": "tools"}[p.Name]), "dead", time.Second)
			require.NoError(t, err)
			_, err = state.Journal().Create(t.Context(), update.Run{
				ID: p.Name, Package: p.Name, Item: held.Item, State: update.StateRunning, Version: "1.0.0", Token: held.Token,
				Steps: []update.StepRecord{{Name: "s", Phase: update.PhaseTodo}},
			})
			require.NoError(t, err)
		}
		time.Sleep(2 * time.Second)
		u := newUpdaterOn(t, state, first, second)
		recovered := make(chan error)
		go func() { recovered <- u.Recover(t.Context()) }()
		start := time.Now()
		_, err := u.Wait(t.Context(), "tool")
		require.NoError(t, err)
		require.Less(t, time.Since(start), time.Minute)
		require.NoError(t, <-recovered)
		require.Equal(t, 2*time.Hour, time.Since(start))
	})
}

// cancelAtTheEnd is a Journal in which somebody cancels a run just before its
// outcome is written.
type cancelAtTheEnd struct {
	update.Journal
	cancel func(id string)
}

func (j *cancelAtTheEnd) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if cancel := j.cancel; r.State == update.StateSucceeded && cancel != nil {
		j.cancel = nil
		cancel(r.ID)
	}
	return j.Journal.Save(ctx, r, events...)
}

func TestACancelThatWasAcknowledgedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		other := newUpdaterOn(t, state, app(c.step("a")))
		journal := &cancelAtTheEnd{Journal: state.Journal(), cancel: func(id string) {
			if err := other.Cancel(context.Background(), id, ann); err != nil {
				t.Error(err)
			}
		}}
		u, err := update.New(update.Config{Locker: state.Locker(), Journal: journal, Packages: []update.Package{app(c.step("a"))}})
		require.NoError(t, err)
		defer u.Close()
		run, err := u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.Equal(t, update.StateCancelled, run.State)
		require.Equal(t, []string{"do a", "undo a"}, c.take())
	})
}

// slowRelease is a Locker that takes its time to let go.
type slowRelease struct{ lease.Locker }

func (l *slowRelease) Release(ctx context.Context, held lease.Lease) error {
	time.Sleep(time.Second)
	return l.Locker.Release(ctx, held)
}

func TestAfterWaitTheLockIsFreeForARecoveredRunToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		left := leave(t, state, unchanged, update.StepRecord{Name: "a", Phase: update.PhaseTodo})
		time.Sleep(ttl + time.Second)
		p := app(update.Step{Name: "a", Do: nothing})
		p.Source = versions{"1.0.0", "1.1.0"}
		u, err := update.New(update.Config{Locker: &slowRelease{state.Locker()}, Journal: state.Journal(), Packages: []update.Package{p}})
		require.NoError(t, err)
		defer u.Close()
		recovered := make(chan error)
		go func() { recovered <- u.Recover(t.Context()) }()
		synctest.Wait()
		_, err = u.Wait(t.Context(), left.ID)
		require.NoError(t, err)
		_, err = u.Start(t.Context(), ask)
		require.NoError(t, err)
		require.NoError(t, <-recovered)
	})
}

func TestOutputIsCutBetweenCharacters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(update.Step{Name: "s", Do: func(_ context.Context, task *update.Task) error {
			for _, b := range []byte("更新 done\n") {
				task.Output().Write([]byte{b})
				time.Sleep(2 * time.Second)
			}
			for range 20_000 {
				task.Output().Write([]byte("新"))
			}
			return nil
		}}))
		_, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		var log string
		for e, err := range u.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if e.Kind == update.EventLog {
				require.NotContains(t, e.Message, "\uFFFD")
				require.LessOrEqual(t, len(e.Message), 16<<10)
				log += e.Message
			}
			if e.Kind == update.EventEnded {
				break
			}
		}
		require.True(t, strings.HasPrefix(log, "更新 done新"), "what came slowly is there")
	})
}

func TestWaitReturnsTheRunSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, app(
			update.Step{Name: "a", Do: func(context.Context, *update.Task) error { time.Sleep(time.Minute); return nil }},
			update.Step{Name: "b", Do: func(ctx context.Context, _ *update.Task) error { <-ctx.Done(); return ctx.Err() }},
		))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		run, err = u.Wait(ctx, run.ID)
		require.True(t, errors.Is(err, context.DeadlineExceeded))
		require.Equal(t, 50, run.Percent)
		require.NoError(t, u.Cancel(t.Context(), run.ID, ann))
	})
}

func TestNobodyStartsWhileTheStepOfABrokenRunStillActs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		slow := c.step("slow")
		slow.Do = func(context.Context, *update.Task) error {
			time.Sleep(20 * time.Second) // whatever its context says
			c.add("do slow")
			return nil
		}
		u := newUpdaterOn(t, state, app(slow))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, u.Break(t.Context(), "core", run.Token, ann))
		_, err = u.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrBusy)
		require.NoError(t, u.Recover(t.Context()))
		require.Empty(t, c.take())
		_, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.Equal(t, []string{"do slow", "undo slow"}, c.take())
		_, err = u.Update(t.Context(), ask)
		require.NoError(t, err)
	})
}
