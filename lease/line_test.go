package lease_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
)

// lingering is a Locker whose releases take a while, and which notes when
// somebody asked for a lease.
type lingering struct {
	lease.Locker
	mu    sync.Mutex
	asked []time.Time
}

const linger = 5 * time.Millisecond

func (l *lingering) Acquire(ctx context.Context, item, owner string, ttl time.Duration) (lease.Lease, error) {
	l.mu.Lock()
	l.asked = append(l.asked, time.Now())
	l.mu.Unlock()
	return l.Locker.Acquire(ctx, item, owner, ttl)
}

func (l *lingering) Release(ctx context.Context, own lease.Lease) error {
	time.Sleep(linger)
	return l.Locker.Release(ctx, own)
}

func TestTheNextInLineAsksWhileAReleaseIsUnderWayAndAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		slow := &lingering{Locker: l}
		var turns lease.Line
		first := hold(t, slow, lease.HoldConfig{Line: &turns})
		var got time.Time
		var waiting sync.WaitGroup
		waiting.Go(func() {
			held, err := lease.Hold(t.Context(), slow, "item", lease.HoldConfig{Wait: true, Line: &turns})
			if err != nil {
				t.Error(err)
				return
			}
			got = time.Now()
			held.Release()
		})
		time.Sleep(time.Second + time.Millisecond) // between two looks of the waiter
		start := time.Now()
		require.NoError(t, first.Release())
		waiting.Wait()
		require.Contains(t, slow.asked, start, "its request may share the commit of the release")
		require.Equal(t, start.Add(linger), got)
	})
}

func TestTheNextInLineLooksWhenTheFirstGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		own, err := l.Acquire(t.Context(), "item", "another process", ttl)
		require.NoError(t, err)
		var turns lease.Line
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			_, err := lease.Hold(ctx, l, "item", lease.HoldConfig{Wait: true, Line: &turns})
			if err == nil {
				t.Error("the item is held")
			}
		})
		synctest.Wait()
		waiting.Go(func() {
			held, err := lease.Hold(t.Context(), l, "item", lease.HoldConfig{Wait: true, Line: &turns})
			if err != nil {
				t.Error(err)
				return
			}
			held.Release()
		})
		synctest.Wait()
		cancel()
		time.Sleep(time.Second)
		require.NoError(t, l.Release(t.Context(), own))
		released := time.Now()
		waiting.Wait()
		require.LessOrEqual(t, time.Since(released), 10*time.Millisecond)
		require.Zero(t, lease.Items(&turns), "an empty line takes no room")
	})
}

// blind is a Locker that does not tell who holds an item.
type blind struct {
	lease.Locker
	look func(ctx context.Context) error
}

func (b blind) Holder(ctx context.Context, _ string) (lease.Lease, error) {
	return lease.Lease{}, b.look(ctx)
}

func TestAWaiterIsToldOfAnEngineThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		hold(t, l, lease.HoldConfig{})
		failing := blind{l, func(context.Context) error { return locktest.ErrCut }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := lease.Hold(ctx, failing, "item", lease.HoldConfig{Wait: true})
		require.ErrorIs(t, err, locktest.ErrCut)
	})
}
