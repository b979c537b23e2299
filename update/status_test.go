package update_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestHolderTellsWhoHasALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		state := memory.New()
		p := app(update.Step{Name: "wait", Do: func(context.Context, *update.Task) error { <-end; return nil }})
		p.Current = func(context.Context) (string, error) { panic("what is installed is not asked") }
		u := newUpdaterOn(t, state, p)
		_, err := u.Holder(t.Context(), update.DefaultLock)
		require.ErrorIs(t, err, lease.ErrFree)

		p.Current = nil
		u = newUpdaterOn(t, state, p)
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		held, err := u.Holder(t.Context(), update.DefaultLock)
		require.NoError(t, err)
		require.Equal(t, run.Token, held.Token)
		require.Equal(t, run.Owner, held.Owner)
		close(end)
		_, err = u.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		synctest.Wait()
		_, err = u.Holder(t.Context(), update.DefaultLock)
		require.ErrorIs(t, err, lease.ErrFree)

		_, err = state.Locker().Acquire(t.Context(), lease.Item("update", "another/lock"), "another program", time.Minute)
		require.NoError(t, err)
		held, err = u.Holder(t.Context(), "another/lock")
		require.NoError(t, err)
		require.Equal(t, "another program", held.Owner)
		_, err = u.Holder(t.Context(), "")
		require.ErrorIs(t, err, lease.ErrInvalid)
	})
}
