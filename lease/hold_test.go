package lease_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const ttl = 3 * time.Minute

// bubble runs f in a bubble of faked time, over a fresh Locker behind a line.
func bubble(t *testing.T, f func(t *testing.T, l *locktest.Wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, &locktest.Wire{Locker: memory.New().Locker()}) })
}

func hold(t *testing.T, l lease.Locker, c lease.HoldConfig) *lease.Held {
	t.Helper()
	held, err := lease.Hold(t.Context(), l, "item", c)
	require.NoError(t, err)
	t.Cleanup(func() { held.Release() })
	return held
}

func TestHoldKeepsTheLeaseAliveUntilRelease(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		token := held.Lease().Token
		for range 50 {
			time.Sleep(ttl / 5)
			_, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{})
			require.ErrorIs(t, err, lease.ErrHeld)
		}
		require.NoError(t, held.Context().Err())
		require.Equal(t, token, held.Lease().Token, "renewing keeps the token")
		require.True(t, held.Lease().ExpiresAt.After(time.Now()), "Lease is the one last renewed")

		require.NoError(t, held.Release())
		require.ErrorIs(t, context.Cause(held.Context()), context.Canceled)
		next := hold(t, l, lease.HoldConfig{})
		require.Greater(t, next.Lease().Token, token)
		require.NoError(t, held.Release(), "a second release is fine")
		_, err := l.Holder(t.Context(), "item")
		require.NoError(t, err, "and leaves the successor alone")
	})
}

func TestHoldSaysWhoHasTheItemAndUntilWhen(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{Owner: "ann"})
		_, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Owner: "ann"})
		var taken *lease.HeldError
		require.ErrorAs(t, err, &taken, "a holder cannot enter again unseen")
		require.Equal(t, held.Lease().Owner, taken.Owner)
		require.Regexp(t, "^ann#[a-z0-9]{6}$", taken.Owner)
		require.Equal(t, held.Lease().ExpiresAt, taken.Until)

		require.NoError(t, held.Release())
		host, err := os.Hostname()
		require.NoError(t, err)
		require.Contains(t, hold(t, l, lease.HoldConfig{}).Lease().Owner, fmt.Sprintf("%s:%d#", host, os.Getpid()))
	})
}

func TestTheContextThatAcquiresDoesNotBoundTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		ctx, cancel := context.WithCancel(t.Context())
		held, err := lease.Hold(ctx, l, "item", lease.HoldConfig{})
		require.NoError(t, err)
		defer held.Release()
		cancel()
		time.Sleep(5 * ttl)
		require.NoError(t, held.Context().Err())
	})
}

func TestALostLeaseEndsTheContextBeforeAnybodyElseCanHoldTheItem(t *testing.T) {
	for name, cut := range map[string]func(*locktest.Wire){
		"requests are lost": func(l *locktest.Wire) { l.Set(locktest.ErrCut, nil, 0) },
		"replies are slow":  func(l *locktest.Wire) { l.Set(nil, nil, 4*ttl) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *locktest.Wire) {
				held := hold(t, l, lease.HoldConfig{})
				start := time.Now()
				cut(l)
				<-held.Context().Done()
				require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
				lost := time.Now()
				l.Set(nil, nil, 0)
				if name == "requests are lost" {
					require.Less(t, lost.Sub(start), ttl)
				}
				_, err := l.Locker.Acquire(t.Context(), "item", "other", ttl)
				require.ErrorIs(t, err, lease.ErrHeld, "the holder knows before the item is free")
			})
		})
	}
}

func TestAnErrorThatPassesBeforeTheDeadlineKeepsTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		l.Set(locktest.ErrCut, nil, 0)
		time.Sleep(ttl * 8 / 10)
		require.NoError(t, held.Context().Err())
		l.Set(nil, nil, 0)
		time.Sleep(5 * ttl)
		require.NoError(t, held.Context().Err())
	})
}

func TestABrokenLeaseEndsTheContextAtTheNextRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		require.NoError(t, l.Release(t.Context(), held.Lease()))
		time.Sleep(ttl / 2)
		require.ErrorIs(t, context.Cause(held.Context()), lease.ErrLost)
	})
}

func TestALeaseThatCameTooLateIsNotUsed(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		l.Set(nil, nil, ttl-time.Second)
		_, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{})
		require.ErrorIs(t, err, lease.ErrLost)
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree, "and it is given back")
	})
}

func TestALeaseWhoseReplyWasLostIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		l.Set(nil, locktest.ErrCut, 0)
		_, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{})
		require.ErrorIs(t, err, locktest.ErrCut)
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree)
	})
}

func TestAReleaseThatFailedCanBeTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		l.BreakRelease(locktest.ErrCut)
		require.ErrorIs(t, held.Release(), locktest.ErrCut)
		require.ErrorIs(t, context.Cause(held.Context()), context.Canceled)
		require.ErrorIs(t, held.Release(), locktest.ErrCut)
		_, err := l.Holder(t.Context(), "item")
		require.NoError(t, err)
		l.BreakRelease(nil)
		require.NoError(t, held.Release())
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree)
		l.BreakRelease(locktest.ErrCut)
		require.NoError(t, held.Release(), "it is released already")
	})
}

func TestAReleaseOutlastsAShortOutage(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		l.BreakRelease(locktest.ErrCut)
		time.AfterFunc(300*time.Millisecond, func() { l.BreakRelease(nil) })
		require.NoError(t, held.Release())
		_, err := l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree)
	})
}

func TestReleaseWorksAfterTheContextOfItsOwnerHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		ctx, cancel := context.WithCancel(t.Context())
		held, err := lease.Hold(ctx, l, "item", lease.HoldConfig{})
		require.NoError(t, err)
		cancel()
		require.NoError(t, held.Release())
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree)
	})
}

func TestWaitersInALineComeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		var turns lease.Line
		first := hold(t, l, lease.HoldConfig{Line: &turns})
		var order []int
		var waiting sync.WaitGroup
		for i := range 16 {
			waiting.Go(func() {
				held, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true, Line: &turns})
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i) // the lock guards it
				held.Release()
			})
			synctest.Wait()
		}
		start := time.Now()
		first.Release()
		waiting.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, order)
		require.Zero(t, time.Since(start), "each is woken at once")
	})
}

func TestEachItemHasItsOwnLine(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		var turns lease.Line
		hold(t, l, lease.HoldConfig{Line: &turns})
		go func() {
			_, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true, Line: &turns})
			require.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		start := time.Now()
		other, err := lease.Hold(t.Context(), l, "another item", lease.HoldConfig{Wait: true, Line: &turns})
		require.NoError(t, err)
		require.NoError(t, other.Release())
		require.Zero(t, time.Since(start), "who waits for one item is not in the way to another")
	})
}

func TestWaitersWithoutALineLookEveryTenMilliseconds(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		first := hold(t, l, lease.HoldConfig{})
		var waiting sync.WaitGroup
		for range 4 {
			waiting.Go(func() {
				held, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true})
				if err != nil {
					t.Error(err)
					return
				}
				held.Release()
			})
		}
		time.Sleep(time.Minute)
		start := time.Now()
		first.Release()
		waiting.Wait()
		require.LessOrEqual(t, time.Since(start), 40*time.Millisecond)
	})
}

func TestAWaiterSeesTheReleaseOfAnotherProcessWithinTenMilliseconds(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		own, err := l.Acquire(t.Context(), "item", "another process", ttl)
		require.NoError(t, err)
		got := make(chan time.Time)
		go func() {
			held, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true})
			if err == nil {
				defer held.Release()
			}
			got <- time.Now()
		}()
		time.Sleep(time.Minute)
		require.NoError(t, l.Release(t.Context(), own))
		released := time.Now()
		require.LessOrEqual(t, (<-got).Sub(released), 10*time.Millisecond)
	})
}

func TestAWaiterGetsTheItemOfADeadProcessWhenItsLeaseEnds(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		_, err := l.Acquire(t.Context(), "item", "a dead process", ttl)
		require.NoError(t, err)
		start := time.Now()
		held := hold(t, l, lease.HoldConfig{Wait: true})
		require.InDelta(t, ttl, time.Since(start), float64(20*time.Millisecond))
		require.EqualValues(t, 2, held.Lease().Token)
	})
}

func TestAWaiterThatGivesUpLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		var turns lease.Line
		first := hold(t, l, lease.HoldConfig{Line: &turns})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone := make(chan error)
		go func() {
			_, err := lease.Hold(ctx, l, "item", lease.HoldConfig{Wait: true, Line: &turns})
			gone <- err
		}()
		synctest.Wait()
		second := make(chan *lease.Held)
		go func() {
			held, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true, Line: &turns})
			if err != nil {
				t.Error(err)
			}
			second <- held
		}()
		require.ErrorIs(t, <-gone, context.DeadlineExceeded)
		require.NoError(t, first.Release())
		held := <-second
		require.EqualValues(t, 2, held.Lease().Token, "the one that gave up took no lease")
		require.NoError(t, held.Release())
	})
}

func TestNoWaiterStarves(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		var turns lease.Line
		var rounds [16]int
		var waiting sync.WaitGroup
		deadline := time.Now().Add(time.Second)
		for i := range rounds {
			waiting.Go(func() {
				for time.Now().Before(deadline) {
					held, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true, Line: &turns})
					if err != nil {
						t.Error(err)
						return
					}
					rounds[i]++
					time.Sleep(time.Millisecond)
					held.Release()
				}
			})
		}
		waiting.Wait()
		for i, n := range rounds {
			require.InDelta(t, 1000/16, n, 2, "waiter %d", i)
		}
	})
}

func TestOneHolderAtATimeAmongMany(t *testing.T) {
	l := memory.New().Locker()
	var turns lease.Line
	var inside atomic.Int32
	var total int
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 20 {
				held, err := lease.Hold(context.Background(), l, "item", lease.HoldConfig{Wait: true, Line: &turns})
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two holders at a time")
				}
				total++
				inside.Add(-1)
				held.Release()
			}
		})
	}
	all.Wait()
	require.Equal(t, 32*20, total)
}

func TestTenThousandHoldsLeakNothing(t *testing.T) {
	l := memory.New().Locker()
	before := runtime.NumGoroutine()
	for range 10_000 {
		held, err := lease.Hold(context.Background(), l, "item", lease.HoldConfig{})
		require.NoError(t, err)
		require.NoError(t, held.Release())
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before+1)
}
