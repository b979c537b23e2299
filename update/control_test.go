package update_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

var ann = update.By{Actor: "ann", Reason: "wrong release"}

// blocks is a step that goes on until its context ends.
func (c *calls) blocks(name string) update.Step {
	s := c.step(name)
	s.Do = func(ctx context.Context, _ *update.Task) error {
		c.add("do " + name)
		<-ctx.Done()
		return ctx.Err()
	}
	return s
}

func TestCancelStopsTheStepAndUndoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		u := newUpdater(t, app(c.step("a"), c.blocks("b")))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, u.Cancel(t.Context(), run.ID, ann))
		start := time.Now()
		run, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.ErrorContains(t, err, "by ann: wrong release")
		require.Zero(t, time.Since(start))
		require.Equal(t, update.StateCancelled, run.State)
		require.Equal(t, &ann, run.Cancel)
		require.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, c.take())
		require.NoError(t, u.Cancel(t.Context(), run.ID, ann), "it is done: no error")
		require.ErrorIs(t, u.Cancel(t.Context(), "no such run", ann), update.ErrNotFound)
	})
}

func TestCancelReachesTheProcessThatWorksOnTheRunWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		worker := newUpdaterOn(t, state, app(c.blocks("a")))
		other := newUpdaterOn(t, state, app(c.blocks("a")))
		run, err := worker.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		require.NoError(t, other.Cancel(t.Context(), run.ID, ann))
		run, err = other.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.LessOrEqual(t, time.Since(start), 1250*time.Millisecond)
		require.Equal(t, []string{"do a", "undo a"}, c.take())
		require.Equal(t, "by ann: wrong release", run.Reason)
	})
}

func TestACancelThatComesDuringTheLastStepCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		a := c.step("a")
		a.Do = func(context.Context, *update.Task) error { time.Sleep(time.Second); return nil }
		u := newUpdater(t, app(a))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, u.Cancel(t.Context(), run.ID, update.By{}))
		_, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.Equal(t, []string{"undo a"}, c.take())
	})
}

func TestThereIsNoWayBackPastThePointOfNoReturn(t *testing.T) {
	tests := []struct {
		name  string
		final func(context.Context, *update.Task) error
		last  func(context.Context, *update.Task) error
		state update.State
	}{
		{"all goes well", nothing, nothing, update.StateSucceeded},
		{"the step itself fails", fails("no"), nothing, update.StateFailed},
		{"a later step fails", nothing, fails("no"), update.StateFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c calls
				b, d := c.step("b"), c.step("c")
				b.PointOfNoReturn = true
				b.Do = func(ctx context.Context, task *update.Task) error {
					time.Sleep(time.Second)
					return tt.final(ctx, task)
				}
				d.Do = tt.last
				u := newUpdater(t, app(c.step("a"), b, d))
				run, err := u.Start(t.Context(), ask)
				require.NoError(t, err)
				synctest.Wait()
				require.ErrorIs(t, u.Cancel(t.Context(), run.ID, ann), update.ErrTooLate)
				run, _ = u.Wait(t.Context(), run.ID)
				require.Equal(t, tt.state, run.State)
				require.Equal(t, []string{"do a"}, c.take(), "nothing is undone")
				_, err = u.Rollback(t.Context(), run.ID, ann)
				require.ErrorIs(t, err, update.ErrTooLate)
			})
		})
	}
}

func TestASilentStepIsStalledAndOneThatReportsIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		slow := c.step("slow")
		slow.Do = func(ctx context.Context, task *update.Task) error {
			for range 5 {
				time.Sleep(ttl * 9 / 10)
				task.Progress(1, 5, "still here")
			}
			return ctx.Err()
		}
		silent := c.blocks("silent")
		u := newUpdater(t, app(slow, silent))
		start := time.Now()
		run, err := u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrFailed)
		require.ErrorContains(t, err, "stalled: no progress for 3m0s")
		require.Equal(t, update.StateRolledBack, run.State)
		require.Equal(t, 5*ttl*9/10+ttl, time.Since(start))
	})
}

func TestAStepThatIgnoresItsCancellationIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		release := make(chan struct{})
		deaf := c.step("deaf")
		deaf.Do = func(_ context.Context, task *update.Task) error {
			<-release
			task.Progress(1, 1, "I am still here")
			c.add("too late: " + task.Save(context.Background(), 1).Error())
			return nil
		}
		state := memory.New()
		u, err := update.New(update.Config{Store: state, Packages: []update.Package{app(c.step("a"), deaf)}})
		require.NoError(t, err)
		start := time.Now()
		run, err := u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrFailed)
		require.ErrorContains(t, err, "ignores its cancellation")
		require.Equal(t, update.StateFailed, run.State, "nothing is undone under a step that may still act")
		require.Less(t, time.Since(start), 2*ttl)
		_, err = state.Locker().Holder(t.Context(), lease.Item("update", "core"))
		require.ErrorIs(t, err, lease.ErrFree)

		close(release)
		require.NoError(t, u.Close(), "Close waits for it")
		require.Equal(t, "do a", c.list[0])
		require.Contains(t, c.list[1], "too late: save step data:")
		after, err := u.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, run, after)
	})
}

func TestRollbackUndoesARunThatSucceeded(t *testing.T) {
	var c calls
	p := app(c.step("a"), c.step("b"))
	p.Source = versions{"1.0.0", "1.1.0"}
	undo := p.Steps[1].Undo
	p.Steps[1].Undo = func(ctx context.Context, task *update.Task) error {
		require.Equal(t, "1.0.0", task.Previous())
		return undo(ctx, task)
	}
	u := newUpdater(t, p)
	first, err := u.Update(t.Context(), update.Request{Package: "app", Version: "1.0.0"})
	require.NoError(t, err)
	second, err := u.Update(t.Context(), ask)
	require.NoError(t, err)
	c.take()

	_, err = u.Rollback(t.Context(), first.ID, ann)
	require.ErrorIs(t, err, update.ErrStale, "the second came later")
	back, err := u.Rollback(t.Context(), second.ID, ann)
	require.NoError(t, err)
	back, err = u.Wait(t.Context(), back.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"undo b", "undo a"}, c.take())
	require.Equal(t, update.StateSucceeded, back.State)
	require.Equal(t, 100, back.Percent)
	require.Equal(t, second.ID, back.Undoes)
	require.Equal(t, ann, back.Request.By, "who and why is kept")
	require.Equal(t, "1.1.0", back.From)
	status, err := u.Status(t.Context(), "app")
	require.NoError(t, err)
	require.Equal(t, "1.0.0", status.Version)

	for e, err := range u.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if e.Run == back.ID {
			require.Equal(t, `ann: take app back from 1.1.0 to "1.0.0": wrong release`, e.Actor+": "+e.Message)
			break
		}
	}

	_, err = u.Rollback(t.Context(), back.ID, ann)
	require.ErrorIs(t, err, update.ErrInvalid)
	_, err = u.Rollback(t.Context(), second.ID, ann)
	require.ErrorIs(t, err, update.ErrStale)
	_, err = u.Rollback(t.Context(), "no such run", ann)
	require.ErrorIs(t, err, update.ErrNotFound)
	again, err := u.Update(t.Context(), ask)
	require.NoError(t, err, "and the update can be done once more")
	require.Equal(t, "1.1.0", again.Version)
}

func TestARepeatedRollbackReturnsTheFirstRun(t *testing.T) {
	var c calls
	u := newUpdater(t, app(c.step("a")))
	run, err := u.Update(t.Context(), update.Request{Package: "app", By: update.By{RequestID: "there"}})
	require.NoError(t, err)
	by := update.By{Actor: "bob", Reason: "it looks wrong", RequestID: "back"}
	first, err := u.Rollback(t.Context(), run.ID, by)
	require.NoError(t, err)
	for range 2 { // while it runs, perhaps, and when it is done
		again, err := u.Rollback(t.Context(), run.ID, by)
		require.NoError(t, err)
		require.Equal(t, first.ID, again.ID)
		again, err = u.Wait(t.Context(), again.ID)
		require.NoError(t, err)
		require.Equal(t, by, again.Request.By)
	}
	require.Equal(t, []string{"do a", "undo a"}, c.take())

	_, err = u.Start(t.Context(), update.Request{Package: "app", By: by})
	require.ErrorIs(t, err, update.ErrInvalid)
	require.EqualError(t, err, `update: invalid request: RequestID "back" was used to roll back run "`+run.ID+`"`)
	_, err = u.Rollback(t.Context(), first.ID, by)
	require.ErrorIs(t, err, update.ErrInvalid, "an id stands for one request")
	_, err = u.Rollback(t.Context(), run.ID, update.By{RequestID: "there"})
	require.EqualError(t, err, `update: invalid request: RequestID "there" was used for version ""`)
	_, err = u.Rollback(t.Context(), run.ID, update.By{RequestID: strings.Repeat("x", 257)})
	require.EqualError(t, err, "update: invalid request: RequestID has 257 bytes, at most 256 are allowed")
}

// lateJournal does not find the run of a request before it creates another.
type lateJournal struct{ update.Journal }

func (j lateJournal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	if q.RequestID != "" {
		return func(func(update.Run, error) bool) {}
	}
	return j.Journal.History(ctx, q)
}

func TestARequestThatComesTwiceAtOnceIsOne(t *testing.T) {
	var c calls
	state := memory.New()
	p := app(c.step("a"))
	p.Source = versions{"1.0.0", "1.1.0"}
	u, err := update.New(update.Config{
		Locker: state.Locker(), Journal: lateJournal{state.Journal()}, Packages: []update.Package{p},
	})
	require.NoError(t, err)
	defer u.Close()
	r := update.Request{Package: "app", Version: "1.0.0", By: update.By{RequestID: "there"}}
	first, err := u.Update(t.Context(), r)
	require.NoError(t, err)
	r.Version = "1.1.0"
	_, err = u.Start(t.Context(), r)
	require.ErrorIs(t, err, update.ErrInvalid, "an id stands for one request")
	_, err = u.Rollback(t.Context(), first.ID, r.By)
	require.ErrorIs(t, err, update.ErrInvalid)

	by := update.By{Reason: "wrong", RequestID: "back"}
	back, err := u.Rollback(t.Context(), first.ID, by)
	require.NoError(t, err)
	_, err = u.Wait(t.Context(), back.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"do a", "undo a"}, c.take())
}

func TestARunOfStepsWithoutUndoCannotBeRolledBack(t *testing.T) {
	u := newUpdater(t, app(update.Step{Name: "s", Do: nothing}))
	run, err := u.Update(t.Context(), ask)
	require.NoError(t, err)
	_, err = u.Rollback(t.Context(), run.ID, ann)
	require.ErrorIs(t, err, update.ErrInvalid)
	status, err := u.Status(t.Context(), "app")
	require.NoError(t, err)
	require.Equal(t, update.Status{Package: "app", Version: "1.0.0"}, status)
}

func TestBreakEndsALeaseByItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		u := newUpdaterOn(t, state, app(c.blocks("a")))
		require.ErrorIs(t, u.Break(t.Context(), "core", 1, ann), update.ErrStale, "nobody holds it")
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorIs(t, u.Break(t.Context(), "core", run.Token+1, ann), update.ErrStale)

		other := newUpdaterOn(t, state, app(c.blocks("a")))
		require.NoError(t, other.Break(t.Context(), "core", run.Token, ann))
		run, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.Equal(t, "by ann: wrong release", run.Reason)
		require.Equal(t, []string{"do a", "undo a"}, c.take())
	})
}

func TestBreakEndsALeaseThatIsNoUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		u := newUpdaterOn(t, state, app(update.Step{Name: "s", Do: nothing}))
		held, err := lease.Hold(t.Context(), state.Locker(), lease.Item("update", "report"), lease.HoldConfig{})
		require.NoError(t, err)
		require.NoError(t, u.Break(t.Context(), "report", held.Lease().Token, ann))
		<-held.Context().Done()
		require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
		require.NoError(t, held.Release())
	})
}

func TestWhoAndWhyIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		u := newUpdater(t, app(c.blocks("a")))
		run, err := u.Start(t.Context(), update.Request{Package: "app", By: update.By{Actor: "bob"}})
		require.NoError(t, err)
		require.NoError(t, u.Cancel(t.Context(), run.ID, ann))
		_, err = u.Wait(t.Context(), run.ID)
		require.True(t, errors.Is(err, update.ErrCancelled))
		asked := map[update.EventKind]string{}
		for e, err := range u.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if e.Actor != "" {
				asked[e.Kind] = e.Actor + ": " + e.Message
			}
			if e.Kind == update.EventEnded {
				break
			}
		}
		require.Equal(t, map[update.EventKind]string{
			update.EventStarted: `bob: bring app from "" to 1.0.0`,
			update.EventCancel:  "ann: wrong release",
		}, asked)
	})
}

func TestBreakIsNoticedPastThePointOfNoReturnToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c calls
		state := memory.New()
		first := true
		a := c.step("a")
		a.PointOfNoReturn = true
		a.Do = func(ctx context.Context, _ *update.Task) error {
			c.add("do a")
			if !first {
				return nil
			}
			first = false
			<-ctx.Done()
			return context.Cause(ctx)
		}
		u := newUpdaterOn(t, state, app(a))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		require.NoError(t, newUpdaterOn(t, state, app(a)).Break(t.Context(), "core", run.Token, ann))
		run, err = u.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 3*time.Second)
		require.Equal(t, update.StateSucceeded, run.State, "there is only forward")
		require.Equal(t, []string{"do a", "do a"}, c.take())
	})
}
