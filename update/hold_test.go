package update_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

const ttl = 3 * time.Minute

var errCut = errors.New("the network is gone")

// line is a Locker whose connection can be cut: before a request arrives, or
// after it did, so that only the reply is lost. It can also be slow.
type line struct {
	update.Locker
	mu            sync.Mutex
	before, after error
	release       error // of Release, which does nothing then
	delay         time.Duration
}

func (l *line) set(before, after error, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.after, l.delay = before, after, delay
}

func (l *line) breakRelease(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release = err
}

func (l *line) pass(f func() error) error {
	l.mu.Lock()
	before, after, delay := l.before, l.after, l.delay
	l.mu.Unlock()
	if before != nil {
		return before
	}
	err := f()
	time.Sleep(delay)
	if after != nil {
		return after
	}
	return err
}

func (l *line) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease update.Lease, err error) {
	err = l.pass(func() (err error) { lease, err = l.Locker.Acquire(ctx, item, owner, ttl); return err })
	return lease, err
}

func (l *line) Renew(ctx context.Context, old update.Lease, ttl time.Duration) (lease update.Lease, err error) {
	err = l.pass(func() (err error) { lease, err = l.Locker.Renew(ctx, old, ttl); return err })
	return lease, err
}

func (l *line) Release(ctx context.Context, lease update.Lease) error {
	l.mu.Lock()
	fault := l.release
	l.mu.Unlock()
	if fault != nil {
		return fault
	}
	return l.Locker.Release(ctx, lease)
}

// bubble runs f in a bubble of faked time, over a fresh Locker behind a line.
func bubble(t *testing.T, f func(t *testing.T, l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, &line{Locker: memory.New().Locker()}) })
}

func hold(t *testing.T, l update.Locker, c update.HoldConfig) *update.Held {
	t.Helper()
	held, err := update.Hold(t.Context(), l, "item", c)
	require.NoError(t, err)
	t.Cleanup(func() { held.Release() })
	return held
}

func TestHoldKeepsTheLeaseAliveUntilRelease(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		held := hold(t, l, update.HoldConfig{})
		token := held.Lease().Token
		for range 50 {
			time.Sleep(ttl / 5)
			_, err := update.Hold(t.Context(), l, "item", update.HoldConfig{})
			require.ErrorIs(t, err, update.ErrHeld)
		}
		require.NoError(t, held.Context().Err())
		require.Equal(t, token, held.Lease().Token, "renewing keeps the token")
		require.True(t, held.Lease().ExpiresAt.After(time.Now()), "Lease is the one last renewed")

		require.NoError(t, held.Release())
		require.ErrorIs(t, context.Cause(held.Context()), context.Canceled)
		next := hold(t, l, update.HoldConfig{})
		require.Greater(t, next.Lease().Token, token)
		require.NoError(t, held.Release(), "a second release is fine")
		_, err := l.Holder(t.Context(), "item")
		require.NoError(t, err, "and leaves the successor alone")
	})
}

func TestHoldSaysWhoHasTheItemAndUntilWhen(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		held := hold(t, l, update.HoldConfig{Owner: "ann"})
		_, err := update.Hold(t.Context(), l, "item", update.HoldConfig{Owner: "ann"})
		var taken *update.HeldError
		require.ErrorAs(t, err, &taken, "a holder cannot enter again unseen")
		require.Equal(t, held.Lease().Owner, taken.Owner)
		require.Regexp(t, "^ann#", taken.Owner)
		require.Equal(t, held.Lease().ExpiresAt, taken.Until)
	})
}

func TestTheContextThatAcquiresDoesNotBoundTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		ctx, cancel := context.WithCancel(t.Context())
		held, err := update.Hold(ctx, l, "item", update.HoldConfig{})
		require.NoError(t, err)
		defer held.Release()
		cancel()
		time.Sleep(5 * ttl)
		require.NoError(t, held.Context().Err())
	})
}

func TestALostLeaseEndsTheContextBeforeAnybodyElseCanHoldTheItem(t *testing.T) {
	for name, cut := range map[string]func(*line){
		"requests are lost": func(l *line) { l.set(errCut, nil, 0) },
		"replies are slow":  func(l *line) { l.set(nil, nil, 4*ttl) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *line) {
				held := hold(t, l, update.HoldConfig{})
				start := time.Now()
				cut(l)
				<-held.Context().Done()
				require.ErrorIs(t, context.Cause(held.Context()), update.ErrLost)
				lost := time.Now()
				l.set(nil, nil, 0)
				if name == "requests are lost" {
					require.Less(t, lost.Sub(start), ttl)
				}
				_, err := l.Locker.Acquire(t.Context(), "item", "other", ttl)
				require.ErrorIs(t, err, update.ErrHeld, "the holder knows before the item is free")
			})
		})
	}
}

func TestAnErrorThatPassesBeforeTheDeadlineKeepsTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		held := hold(t, l, update.HoldConfig{})
		l.set(errCut, nil, 0)
		time.Sleep(ttl * 8 / 10)
		require.NoError(t, held.Context().Err())
		l.set(nil, nil, 0)
		time.Sleep(5 * ttl)
		require.NoError(t, held.Context().Err())
	})
}

func TestABrokenLeaseEndsTheContextAtTheNextRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		held := hold(t, l, update.HoldConfig{})
		require.NoError(t, l.Release(t.Context(), held.Lease()))
		time.Sleep(ttl / 2)
		require.ErrorIs(t, context.Cause(held.Context()), update.ErrLost)
	})
}

func TestALeaseThatCameTooLateIsNotUsed(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		l.set(nil, nil, ttl-time.Second)
		_, err := update.Hold(t.Context(), l, "item", update.HoldConfig{})
		require.ErrorIs(t, err, update.ErrLost)
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, update.ErrFree, "and it is given back")
	})
}

func TestALeaseWhoseReplyWasLostIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		l.set(nil, errCut, 0)
		_, err := update.Hold(t.Context(), l, "item", update.HoldConfig{})
		require.ErrorIs(t, err, errCut)
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, update.ErrFree)
	})
}

func TestAReleaseThatFailedCanBeTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		held := hold(t, l, update.HoldConfig{})
		l.release = errCut
		require.ErrorIs(t, held.Release(), errCut)
		require.ErrorIs(t, context.Cause(held.Context()), context.Canceled)
		require.ErrorIs(t, held.Release(), errCut)
		_, err := l.Holder(t.Context(), "item")
		require.NoError(t, err)
		l.release = nil
		require.NoError(t, held.Release())
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, update.ErrFree)
		l.release = errCut
		require.NoError(t, held.Release(), "it is released already")
	})
}

func TestAReleaseOutlastsAShortOutage(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		held := hold(t, l, update.HoldConfig{})
		l.breakRelease(errCut)
		time.AfterFunc(300*time.Millisecond, func() { l.breakRelease(nil) })
		require.NoError(t, held.Release())
		_, err := l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, update.ErrFree)
	})
}

func TestReleaseWorksAfterTheContextOfItsOwnerHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		ctx, cancel := context.WithCancel(t.Context())
		held, err := update.Hold(ctx, l, "item", update.HoldConfig{})
		require.NoError(t, err)
		cancel()
		require.NoError(t, held.Release())
		_, err = l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, update.ErrFree)
	})
}

func TestWaitersOfAProcessComeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		first := hold(t, l, update.HoldConfig{})
		var order []int
		var waiting sync.WaitGroup
		for i := range 16 {
			waiting.Go(func() {
				held, err := update.Hold(t.Context(), l, "item", update.HoldConfig{Wait: true})
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

func TestAWaiterSeesTheReleaseOfAnotherProcessWithinTenMilliseconds(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		lease, err := l.Acquire(t.Context(), "item", "another process", ttl)
		require.NoError(t, err)
		got := make(chan time.Time)
		go func() {
			held, err := update.Hold(t.Context(), l, "item", update.HoldConfig{Wait: true})
			if err == nil {
				defer held.Release()
			}
			got <- time.Now()
		}()
		time.Sleep(time.Minute)
		require.NoError(t, l.Release(t.Context(), lease))
		released := time.Now()
		require.LessOrEqual(t, (<-got).Sub(released), 10*time.Millisecond)
	})
}

func TestAWaiterGetsTheItemOfADeadProcessWhenItsLeaseEnds(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		_, err := l.Acquire(t.Context(), "item", "a dead process", ttl)
		require.NoError(t, err)
		start := time.Now()
		held := hold(t, l, update.HoldConfig{Wait: true})
		require.InDelta(t, ttl, time.Since(start), float64(20*time.Millisecond))
		require.EqualValues(t, 2, held.Lease().Token)
	})
}

func TestAWaiterThatGivesUpLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T, l *line) {
		first := hold(t, l, update.HoldConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone := make(chan error)
		go func() {
			_, err := update.Hold(ctx, l, "item", update.HoldConfig{Wait: true})
			gone <- err
		}()
		synctest.Wait()
		second := make(chan *update.Held)
		go func() {
			held, err := update.Hold(t.Context(), l, "item", update.HoldConfig{Wait: true})
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
	bubble(t, func(t *testing.T, l *line) {
		var rounds [16]int
		var waiting sync.WaitGroup
		deadline := time.Now().Add(time.Second)
		for i := range rounds {
			waiting.Go(func() {
				for time.Now().Before(deadline) {
					held, err := update.Hold(t.Context(), l, "item", update.HoldConfig{Wait: true})
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
	var inside atomic.Int32
	var total int
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 20 {
				held, err := update.Hold(context.Background(), l, "item", update.HoldConfig{Wait: true})
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
		held, err := update.Hold(context.Background(), l, "item", update.HoldConfig{})
		require.NoError(t, err)
		require.NoError(t, held.Release())
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before+1)
}
