package leasetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
)

// BenchmarkLocker measures an engine. Each iteration is the whole of a
// workload; the metrics say how fast its parts are.
func BenchmarkLocker(b *testing.B, h Harness) {
	const pairs = 500
	pair := func(l lease.Locker, item string) {
		for range pairs {
			held, err := l.Acquire(b.Context(), item, "me", time.Hour)
			if err == nil {
				err = l.Release(b.Context(), held)
			}
			if err != nil {
				b.Error(err)
			}
		}
	}
	b.Run("one item", func(b *testing.B) {
		l := h.Open(b)
		b.ReportAllocs()
		for b.Loop() {
			pair(l, "core")
		}
		suitetest.Rate(b, pairs, "pairs/s")
	})
	b.Run("32 items", func(b *testing.B) {
		l := h.Open(b)
		b.ReportAllocs()
		for b.Loop() {
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() { pair(l, fmt.Sprint(i)) })
			}
			wg.Wait()
		}
		suitetest.Rate(b, 32*pairs, "pairs/s")
	})
	b.Run("renewals", func(b *testing.B) {
		l := h.Open(b)
		held, err := l.Acquire(b.Context(), "core", "me", time.Hour)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			for range pairs {
				_, err := l.Renew(b.Context(), held, time.Hour)
				require.NoError(b, err)
			}
		}
		suitetest.Rate(b, pairs, "renewals/s")
	})
}
