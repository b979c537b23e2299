package lease_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestAConfirmThatMeetsAReleaseIsToldSo(t *testing.T) {
	bubble(t, func(t *testing.T, l *locktest.Wire) {
		held := hold(t, l, lease.HoldConfig{})
		l.Set(nil, nil, time.Second) // the answer is on its way when Release is called
		start := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			err := held.Confirm()
			if err != context.Canceled || time.Since(start) != 300*time.Millisecond {
				t.Error("not told at once:", err, time.Since(start))
			}
		})
		time.Sleep(300 * time.Millisecond)
		require.NoError(t, held.Release())
		all.Wait()
		time.Sleep(time.Minute)
		_, err := l.Holder(t.Context(), "item")
		require.ErrorIs(t, err, lease.ErrFree, "nothing renews it any more")
	})
}

// released counts releases.
type released struct {
	lease.Locker
	times atomic.Int32
}

func (r *released) Release(ctx context.Context, own lease.Lease) error {
	r.times.Add(1)
	runtime.Gosched() // so that two would meet
	return r.Locker.Release(ctx, own)
}

func TestReleasesAtOnceAreOne(t *testing.T) {
	r := &released{Locker: memory.New().Locker()}
	held := hold(t, r, lease.HoldConfig{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := held.Release(); err != nil {
				t.Error(err)
			}
			if _, err := r.Holder(t.Context(), "item"); err == nil {
				t.Error("Release has returned, and the item is not free")
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, r.times.Load())
}
