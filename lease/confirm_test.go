package lease_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
)

func TestConfirmRenewsTheLeaseOrSaysThatItIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		time.Sleep(time.Second)
		require.NoError(t, held.Confirm())
		require.Equal(t, time.Now().Add(ttl).UTC(), held.Lease().ExpiresAt)
		require.NoError(t, l.Release(t.Context(), held.Lease()), "as somebody does who breaks it")
		require.ErrorIs(t, held.Confirm(), lease.ErrLost, "at once, not at the next renewal")
		require.NoError(t, held.Release())

		held = hold(t, l, lease.HoldConfig{})
		require.NoError(t, held.Release())
		require.ErrorIs(t, held.Confirm(), context.Canceled)

		held = hold(t, l, lease.HoldConfig{})
		l.Set(locktest.ErrCut, nil, 0)
		start := time.Now()
		require.ErrorIs(t, held.Confirm(), locktest.ErrCut, "nobody has confirmed it")
		require.Zero(t, time.Since(start))
		require.NoError(t, held.Context().Err(), "but it is not lost yet")
		time.Sleep(ttl)
		require.ErrorIs(t, held.Confirm(), lease.ErrLost)
	})
}

func TestConfirmDoesNotOutlastTheLeaseWithAnEngineThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		l.Set(nil, nil, 4*ttl)
		start := time.Now()
		require.ErrorIs(t, held.Confirm(), lease.ErrLost)
		require.Less(t, time.Since(start), ttl)
	})
}

func TestConfirmDoesNotBelieveAnAnswerThatCameTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		lease.StopExpiry(held) // nothing in this process tells of the end
		l.Set(nil, nil, ttl*95/100)
		require.ErrorIs(t, held.Confirm(), lease.ErrLost, "somebody else may have the item soon")
	})
}
