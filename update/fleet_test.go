package update_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// member returns the Updater of one program of a fleet: all share the state
// and the lock, each has an installation of its own.
func member(t *testing.T, state *memory.DB, name string, steps ...update.Step) *update.Updater {
	t.Helper()
	u, err := update.New(update.Config{Store: state, LockTTL: ttl, Owner: name,
		Packages: []update.Package{{Name: "app@" + name, Source: versions{"1.0.0"}, Steps: steps}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, u.Close()) })
	return u
}

func TestProgramsOfAFleetTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		var atOnce, most atomic.Int64
		swap := update.Step{Name: "swap", Do: func(ctx context.Context, _ *update.Task) error {
			most.Store(max(most.Load(), atOnce.Add(1)))
			time.Sleep(10 * time.Second)
			atOnce.Add(-1)
			return nil
		}}
		const programs = 5
		results := make(chan error, programs)
		for i := range programs {
			name := fmt.Sprint("host", i)
			u := member(t, state, name, swap)
			go func() {
				_, err := u.Update(t.Context(), update.Request{Package: "app@" + name, Wait: true})
				results <- err
			}()
		}
		for range programs {
			require.NoError(t, <-results)
		}
		require.EqualValues(t, 1, most.Load())
		succeeded := map[string]int{}
		for run, err := range state.Journal().History(t.Context(), update.Query{}) {
			require.NoError(t, err)
			require.Equal(t, update.StateSucceeded, run.State)
			require.False(t, run.Request.Wait)
			succeeded[run.Package]++
		}
		require.Len(t, succeeded, programs, "each has its own target")
	})
}

func TestAProgramThatRestartsInItsUpdateStaysTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		var c calls
		swap := c.step("swap")
		swap.Do = func(context.Context, *update.Task) error {
			time.Sleep(time.Second)
			return nil
		}
		before := member(t, state, "a", swap, c.step("check a"))
		run, err := before.Start(t.Context(), update.Request{Package: "app@a"})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, before.Close()) // as a restart does, after the step
		left, err := state.Journal().Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.False(t, left.State.Done())

		other := member(t, state, "b", c.step("b"))
		_, err = other.Start(t.Context(), update.Request{Package: "app@b"})
		require.ErrorIs(t, err, update.ErrBusy)
		var held *lease.HeldError
		require.ErrorAs(t, err, &held)
		require.Contains(t, held.Owner, "a")
		require.True(t, held.Until.After(time.Now()))

		waited := make(chan error, 1)
		go func() {
			_, err := other.Update(t.Context(), update.Request{Package: "app@b", Wait: true})
			waited <- err
		}()
		time.Sleep(time.Minute)
		require.NoError(t, member(t, state, "a", swap, c.step("check a")).Recover(t.Context()))
		require.NoError(t, <-waited)
		require.Equal(t, []string{"do check a", "do b"}, c.take())
	})
}

func TestAProgramThatNeverComesBackHoldsUpItsFleetForTheTimeOfALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		gone := member(t, state, "a", update.Step{Name: "swap", Do: func(context.Context, *update.Task) error {
			time.Sleep(time.Second)
			return nil
		}}, (&calls{}).step("never"))
		_, err := gone.Start(t.Context(), update.Request{Package: "app@a"})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, gone.Close())
		started := time.Now()
		_, err = member(t, state, "b", (&calls{}).step("b")).Update(t.Context(), update.Request{Package: "app@b", Wait: true})
		require.NoError(t, err)
		require.InDelta(t, ttl.Seconds(), time.Since(started).Seconds(), 2)
	})
}

func TestWaitingForATurnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		free := make(chan struct{})
		blocks := update.Step{Name: "block", Do: func(context.Context, *update.Task) error { <-free; return nil }}
		u := member(t, state, "a", blocks)
		_, err := u.Start(t.Context(), update.Request{Package: "app@a"})
		require.NoError(t, err)

		late := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
		defer cancel()
		other := member(t, state, "b", blocks)
		_, err = other.Start(ctx, update.Request{Package: "app@b", Wait: true})
		require.ErrorIs(t, err, late)
		_, err = u.Start(ctx, update.Request{Package: "app@a", Wait: true})
		require.ErrorIs(t, err, late)

		refused := make(chan error, 2)
		for name, waiting := range map[string]*update.Updater{"a": u, "b": other} {
			go func() {
				_, err := waiting.Start(t.Context(), update.Request{Package: "app@" + name, Wait: true})
				refused <- err
			}()
		}
		synctest.Wait()
		go func() { _ = u.Close() }()
		require.ErrorIs(t, <-refused, update.ErrClosed)
		require.NoError(t, other.Close())
		require.ErrorIs(t, <-refused, update.ErrClosed)
		close(free)
	})
}

func TestARunIsRecoveredThoughSomebodyLooksAtItsLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		var c calls
		swap := c.step("swap")
		swap.Do = func(context.Context, *update.Task) error { time.Sleep(time.Second); return nil }
		before := member(t, state, "a", swap, c.step("end"))
		_, err := before.Start(t.Context(), update.Request{Package: "app@a"})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, before.Close())

		looks, err := lease.Hold(t.Context(), state.Locker(), lease.Item("update", update.DefaultLock), lease.HoldConfig{})
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { _ = looks.Release() })
		require.NoError(t, member(t, state, "a", swap, c.step("end")).Recover(t.Context()))
		require.Equal(t, []string{"do end"}, c.take())
	})
}
