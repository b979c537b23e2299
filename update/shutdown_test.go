package update_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// minute honours its context, and takes a minute.
func minute(ctx context.Context, _ *update.Task) error {
	select {
	case <-time.After(time.Minute):
		return nil
	case <-ctx.Done():
		return ctx.Err() // or whatever what it does makes of that
	}
}

// requireLeft checks that a run was let go of in the middle of a step, in a
// phase, and that nothing failed.
func requireLeft(t *testing.T, state *memory.DB, id string, phase update.Phase) {
	t.Helper()
	run, err := state.Journal().Get(t.Context(), id)
	require.NoError(t, err)
	require.False(t, run.State.Done(), "it has not ended: %s %s", run.State, run.Reason)
	require.Equal(t, phase, run.Steps[0].Phase, "no outcome is written")
	_, err = state.Locker().Holder(t.Context(), lease.Item("update", "core"))
	require.ErrorIs(t, err, lease.ErrFree)
}

func TestCloseEndsAStepWithoutFailingIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		s := update.Step{Name: "s", Do: minute, Undo: fails("nothing is to be undone"), Timeout: time.Hour}
		u := newUpdaterOn(t, state, app(s))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		start := time.Now()
		require.NoError(t, u.Close())
		require.Zero(t, time.Since(start), "at once")
		requireLeft(t, state, run.ID, update.PhaseDoing)
		_, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrClosed)

		next := newUpdaterOn(t, state, app(s))
		require.NoError(t, next.Recover(t.Context()))
		run, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
		require.Equal(t, 1, run.Steps[0].Attempt, "an attempt that was ended does not count")
		var kinds []update.EventKind
		for _, e := range followed(t, next.Follow(t.Context(), run.ID)) {
			if e.Kind != update.EventStep {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Equal(t, []update.EventKind{"started", "stopped", "recovered", "ended"}, kinds)
	})
}

func TestShutdownWaitsForASafePointAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p := app(update.Step{Name: "s", Do: minute}, update.Step{Name: "t", Do: minute})
		u := newUpdaterOn(t, state, p)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait() // a step that has not begun is a safe point
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, u.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
		requireLeft(t, state, run.ID, update.PhaseDoing)

		patient := newUpdaterOn(t, state, p)
		go func() { _ = patient.Recover(t.Context()) }()
		time.Sleep(5 * time.Second)
		start = time.Now()
		require.NoError(t, patient.Shutdown(t.Context()))
		require.Equal(t, 55*time.Second, time.Since(start))
		requireLeft(t, state, run.ID, update.PhaseDone)
		run, err = patient.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, 1, run.Steps[0].Attempt, "an attempt that came to its end counts")
		require.NoError(t, patient.Shutdown(ctx), "there is nothing more to wait for, and nothing was ended")

		last := newUpdaterOn(t, state, p)
		_, err = last.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrUpToDate, "Start goes on with it too")
		run, err = last.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}

func TestShutdownAndCloseComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		u := newUpdaterOn(t, state, app(update.Step{Name: "s", Do: minute}))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := u.Shutdown(t.Context()); err != nil {
					t.Error("a patient one has nothing to complain about:", err)
				}
			})
			all.Go(func() { time.Sleep(10 * time.Second); _ = u.Close() })
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_ = u.Shutdown(ctx)
			})
		}
		all.Wait()
		require.Equal(t, 10*time.Second, time.Since(start))
		require.NoError(t, u.Close())
		require.NoError(t, u.Shutdown(t.Context()))
		requireLeft(t, state, run.ID, update.PhaseDoing)
	})
}

func TestAStepThatWasEndedOftenIsNotOneThatKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		var done time.Duration
		resumes := update.Step{Name: "s", Do: func(ctx context.Context, task *update.Task) error {
			for ; done < time.Hour; done += time.Second {
				time.Sleep(time.Second)
				task.Progress(int64(done), int64(time.Hour), "")
				if ctx.Err() != nil {
					return errors.New("connection reset") // as things say that were interrupted
				}
			}
			return nil
		}}
		u := newUpdaterOn(t, state, app(resumes))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		for range 10 {
			time.Sleep(time.Minute)
			require.NoError(t, u.Close())
			u = newUpdaterOn(t, state, app(resumes))
			go func() { _ = u.Recover(t.Context()) }()
			synctest.Wait()
		}
		run, err = u.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}

func TestWhateverAStepDoesCanBeEnded(t *testing.T) {
	unknown := func(context.Context, *update.Task) (update.Applied, error) { return update.AppliedUnknown, nil }
	for name, tt := range map[string]struct {
		step  update.Step
		phase update.Phase
		state update.State // in the end
	}{
		"Verify": {update.Step{Do: nothing, Verify: minute}, update.PhaseDoing, update.StateSucceeded},
		"Undo":   {update.Step{Do: fails("no"), Undo: minute}, update.PhaseUndoing, update.StateRolledBack},
		"Probe on the way back": {update.Step{Do: fails("no"), Undo: nothing, Probe: func(ctx context.Context, task *update.Task) (update.Applied, error) {
			return update.AppliedUnknown, minute(ctx, task)
		}}, update.PhaseFailed, update.StateRolledBack},
		"past the point of no return": {update.Step{Do: minute, PointOfNoReturn: true, Probe: unknown}, update.PhaseDoing, update.StateSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := memory.New()
				s := tt.step
				s.Name = "s"
				u := newUpdaterOn(t, state, app(s))
				run, err := u.Start(t.Context(), ask)
				require.NoError(t, err)
				time.Sleep(time.Second)
				require.NoError(t, u.Close())
				requireLeft(t, state, run.ID, tt.phase)
				next := newUpdaterOn(t, state, app(s))
				require.NoError(t, next.Recover(t.Context()))
				run, err = next.Get(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, tt.state, run.State, run.Reason)
			})
		})
	}
}

func TestAStepThatIgnoresItsContextIsWaitedForUnderItsLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		deaf := update.Step{Name: "s", Do: func(context.Context, *update.Task) error { time.Sleep(time.Hour); return nil },
			Verify: fails("nothing begins any more")}
		p := app(deaf, update.Step{Name: "t", Do: nothing})
		u, other := newUpdaterOn(t, state, p), newUpdaterOn(t, state, p)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		closed := make(chan error)
		go func() { closed <- u.Close() }()
		time.Sleep(50 * time.Minute)
		_, err = other.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrBusy, "it may still act")
		require.NoError(t, <-closed)
		requireLeft(t, state, run.ID, update.PhaseDoing)
	})
}

func TestACheckThatIsEndedHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p := app(update.Step{Name: "s", Do: nothing, Check: minute})
		u := newUpdaterOn(t, state, p)
		answers := make(chan error)
		go func() { _, err := u.Start(t.Context(), ask); answers <- err }()
		go func() { _, err := u.Plan(t.Context(), ask); answers <- err }()
		time.Sleep(time.Second)
		require.NoError(t, u.Close())
		for range 2 {
			err := <-answers
			require.ErrorIs(t, err, update.ErrClosed)
			require.NotErrorIs(t, err, update.ErrFailed)
		}

		u = newUpdaterOn(t, state, p)
		go func() { _, err := u.Start(t.Context(), ask); answers <- err }()
		time.Sleep(time.Second)
		require.NoError(t, u.Shutdown(t.Context()))
		require.ErrorIs(t, <-answers, update.ErrClosed)
		for range u.History(t.Context(), update.Query{}) {
			t.Fatal("no run begins any more")
		}

		p.Current = func(ctx context.Context) (string, error) { return "", minute(ctx, nil) }
		u = newUpdaterOn(t, state, p)
		go func() { _, err := u.Start(t.Context(), ask); answers <- err }()
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, u.Close())
		require.Zero(t, time.Since(start), "what is installed is not waited for")
		require.ErrorIs(t, <-answers, update.ErrClosed)
	})
}

func TestAPlanIsNotWaitedForByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := app(update.Step{Name: "s", Do: nothing})
		p.Current = func(ctx context.Context) (string, error) { return "", minute(ctx, nil) }
		u := newUpdater(t, p)
		answer := make(chan error, 1)
		go func() { _, err := u.Plan(t.Context(), ask); answer <- err }()
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, u.Close())
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, <-answer, update.ErrClosed)
		_, err := u.Plan(t.Context(), ask)
		require.Equal(t, update.ErrClosed, err)
	})
}

func TestCloseDoesNotWaitForALockThatRecoverWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p := app(update.Step{Name: "s", Do: minute})
		u := newUpdaterOn(t, state, p)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		require.NoError(t, u.Close())
		_, err = state.Locker().Acquire(t.Context(), lease.Item("update", "core"), "somebody who looks", ttl)
		require.NoError(t, err)
		next := newUpdaterOn(t, state, p)
		answer := make(chan error, 1)
		go func() { answer <- next.Recover(t.Context()) }()
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, next.Close())
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, <-answer, update.ErrClosed)
		run, err = next.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.False(t, run.State.Done())
	})
}

func TestAStepThatEndsItsGoroutineWhenItIsEndedHasNotFailed(t *testing.T) {
	for range 8 { // whichever is seen first, the end of the step or that of its context
		synctest.Test(t, func(t *testing.T) {
			state := memory.New()
			u := newUpdaterOn(t, state, app(update.Step{Name: "s", Do: func(ctx context.Context, _ *update.Task) error {
				<-ctx.Done()
				runtime.Goexit()
				return nil
			}}))
			run, err := u.Start(t.Context(), ask)
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, u.Close())
			requireLeft(t, state, run.ID, update.PhaseDoing)
		})
	}
}

func TestARunThatIsLeftWithoutAWordIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, log := memory.New(), new(bytes.Buffer)
		wire := &locktest.Wire{Locker: state.Locker()}
		s := update.Step{Name: "s", Do: minute}
		u, err := update.New(update.Config{
			Locker: state.Locker(), Journal: cutJournal{state.Journal(), wire}, Packages: []update.Package{app(s)},
			Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		require.NoError(t, err)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		wire.Set(locktest.ErrCut, nil, 0)
		require.NoError(t, u.Close())
		require.Contains(t, log.String(), `level=WARN msg="update: left without a word" package=app run=`+run.ID)
		requireLeft(t, state, run.ID, update.PhaseDoing)
		next := newUpdaterOn(t, state, app(s))
		require.NoError(t, next.Recover(t.Context()))
		run, err = next.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}

func TestFollowEndsWithItsUpdater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		u := newUpdaterOn(t, state, app(update.Step{Name: "s", Do: minute}))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		last := make(chan error)
		go func() {
			kind := update.EventKind("")
			for e, err := range u.Follow(t.Context(), run.ID) {
				if err != nil {
					if kind != update.EventStopped {
						t.Error("what happened was not told:", kind)
					}
					last <- err
				}
				kind = e.Kind
			}
		}()
		time.Sleep(time.Second)
		require.NoError(t, u.Close())
		require.ErrorIs(t, <-last, update.ErrClosed)

		next := newUpdaterOn(t, state, app(update.Step{Name: "s", Do: minute}))
		require.NoError(t, next.Recover(t.Context()))
		require.NoError(t, next.Close())
		kind := update.EventKind("")
		for e, err := range next.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			kind = e.Kind
			time.Sleep(time.Minute) // a slow reader
		}
		require.Equal(t, update.EventEnded, kind, "of a run that has ended all is there")
	})
}
