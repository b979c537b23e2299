package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
)

// asking is a Locker that counts who asks for a lease, and answers nobody
// before the context ends.
type asking struct {
	lease.Locker
	asked int
}

func (a *asking) Acquire(ctx context.Context, _, _ string, _ time.Duration) (lease.Lease, error) {
	a.asked++
	<-ctx.Done()
	return lease.Lease{}, ctx.Err()
}

func TestWhoseContextHasEndedAsksNobody(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		enough := errors.New("enough")
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		a := &asking{Locker: l}
		for i := range 50 { // a select takes one way or the other
			_, err := lease.Hold(ended, a, "item", lease.HoldConfig{Wait: i%2 == 0})
			require.ErrorIs(t, err, enough)
		}
		require.Zero(t, a.asked)

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(enough) })
		_, err := lease.Hold(ctx, a, "item", lease.HoldConfig{})
		require.ErrorIs(t, err, enough, "the cause, not what the engine makes of it")
		require.Equal(t, 1, a.asked)
	})
}

func TestARequestThatFailedTakesNothingFromAnybody(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		_, err := l.Acquire(t.Context(), "item", "another process", ttl)
		require.NoError(t, err)
		l.Set(locktest.ErrCut, nil, 0)
		_, err = lease.Hold(t.Context(), l, "item", lease.HoldConfig{})
		require.ErrorIs(t, err, locktest.ErrCut)
		held, err := l.Holder(t.Context(), "item")
		require.NoError(t, err, "what may have been taken is given back, and nothing else")
		require.Equal(t, "another process", held.Owner)
	})
}

func TestALeaseThatCameAfterTheContextIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.Set(nil, context.DeadlineExceeded, 2*time.Second)
		_, err := lease.Hold(ctx, l, "item", lease.HoldConfig{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree)
	})
}

func TestNobodyLooksForALeaseThatHasEndedByItself(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		l.Set(locktest.ErrCut, nil, 0)
		hanging := blind{l, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		start := time.Now()
		_, err := lease.Hold(t.Context(), hanging, "item", lease.HoldConfig{TTL: time.Second})
		require.ErrorIs(t, err, locktest.ErrCut)
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}

func TestWhoIsRefusedHasTakenNothing(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		hold(t, l, lease.HoldConfig{})
		looked := blind{l, func(context.Context) error {
			t.Error("there is nothing to look for")
			return lease.ErrFree
		}}
		_, err := lease.Hold(t.Context(), looked, "item", lease.HoldConfig{})
		require.ErrorIs(t, err, lease.ErrHeld)
		_, err = lease.Hold(t.Context(), looked, "", lease.HoldConfig{})
		require.ErrorIs(t, err, lease.ErrInvalid)
	})
}
