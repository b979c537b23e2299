package update_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestBusySaysWhatIsInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p, tool := app(update.Step{Name: "s", Do: minute}), app(update.Step{Name: "s", Do: minute})
		tool.Name = "tool"
		u, other := newUpdaterOn(t, state, p, tool), newUpdaterOn(t, state, tool)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		want := fmt.Sprintf(`update: in progress: run %q of package "app" has the lock "core" until 2000-01-01T00:0\d:\d\dZ`, run.ID)
		for name, asks := range map[string]*update.Updater{"in this process": u, "in another": other} {
			_, err := asks.Start(t.Context(), update.Request{Package: "tool"})
			require.ErrorIs(t, err, update.ErrBusy, name)
			require.ErrorIs(t, err, lease.ErrHeld, name)
			require.Regexp(t, "^"+want+"$", err.Error(), name)
		}
		require.NoError(t, u.Close())
		_, err = other.Start(t.Context(), update.Request{Package: "tool"})
		require.Regexp(t, "^"+want+"$", err.Error(), "it may be gone on with")

		time.Sleep(time.Hour)
		held, err := lease.Hold(t.Context(), state.Locker(), lease.Item("update", "core"), lease.HoldConfig{Owner: "a person"})
		require.NoError(t, err)
		defer held.Release()
		_, err = other.Start(t.Context(), update.Request{Package: "tool"})
		require.ErrorIs(t, err, update.ErrBusy)
		require.Regexp(t, `^update: in progress: "a person#\w+" has the lock "core" until 2000-01-01T01:\d\d:\d\dZ$`, err.Error())
	})
}

func TestEachOfThoseWhoOnlyLookIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		u := newUpdaterOn(t, state, app(update.Step{Name: "s", Do: nothing}))
		core := lease.Item("update", "core")
		first, err := state.Locker().Acquire(t.Context(), core, "first", time.Minute)
		require.NoError(t, err)
		time.AfterFunc(4*time.Second, func() {
			_ = state.Locker().Release(t.Context(), first)
			second, err := state.Locker().Acquire(t.Context(), core, "second", time.Minute)
			if err != nil {
				t.Error(err)
			}
			time.AfterFunc(4*time.Second, func() { _ = state.Locker().Release(t.Context(), second) })
		})
		_, err = u.Update(t.Context(), ask)
		require.NoError(t, err)
	})
}

// unreadBeside is a Journal that cannot read a run under another lock.
type unreadBeside struct{ update.Journal }

func (j unreadBeside) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	return func(yield func(update.Run, error) bool) {
		if yield(update.Run{ID: "damaged", Package: "tool", Item: "other"}, update.ErrCorrupt) {
			j.Journal.History(ctx, q)(yield)
		}
	}
}

func TestADamagedRunUnderAnotherLockIsNotInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p := app(update.Step{Name: "s", Do: minute})
		p.Current = func(context.Context) (string, error) { return "", nil }
		u, err := update.New(update.Config{
			Locker: state.Locker(), Journal: unreadBeside{state.Journal()}, Packages: []update.Package{p},
		})
		require.NoError(t, err)
		defer u.Close()
		held, err := lease.Hold(t.Context(), state.Locker(), lease.Item("update", "core"), lease.HoldConfig{Owner: "who looks"})
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { _ = held.Release() })
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err, "who only looks is waited for")
		_, err = newUpdaterOn(t, state, p).Start(t.Context(), ask)
		require.ErrorContains(t, err, run.ID)
	})
}

func TestAnErrorThatIsItsOwnCauseIsSaidOnce(t *testing.T) {
	for name, do := range map[string]func(context.Context) error{
		"the cause":    func(ctx context.Context) error { return context.Cause(ctx) },
		"a part of it": func(context.Context) error { return update.ErrStalled },
		"the cause, in its": func(ctx context.Context) error {
			return fmt.Errorf("update: stalled: no progress for 3m0s%w", quietly{context.Cause(ctx)})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newUpdater(t, app(update.Step{Name: "slow", Do: func(ctx context.Context, _ *update.Task) error {
				<-ctx.Done()
				return do(ctx)
			}}))
			run, err := u.Update(t.Context(), ask)
			require.ErrorIs(t, err, update.ErrFailed, name)
			require.Equal(t, `step "slow": update: stalled: no progress for 3m0s`, run.Reason, name)
		})
	}
}

// quietly is an error that says nothing of its own.
type quietly struct{ error }

func (quietly) Error() string   { return "" }
func (q quietly) Unwrap() error { return q.error }
