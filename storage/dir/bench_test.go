//go:build unix

package dir_test

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 12 << 20} {
		content := make([]byte, size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			r, n := opened(b, b.TempDir()), 0
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				require.NoError(b, r.PutIfAbsent(b.Context(), fmt.Sprint("d/", n), bytes.NewReader(content)))
				n++
			}
		})
	}
	b.Run("16 at once", func(b *testing.B) {
		r := opened(b, b.TempDir())
		var n atomic.Int64
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				require.NoError(b, r.PutIfAbsent(b.Context(), fmt.Sprint("d/", n.Add(1)), bytes.NewReader(make([]byte, 1<<10))))
			}
		})
	})
}

func BenchmarkGet(b *testing.B) {
	r := opened(b, b.TempDir())
	require.NoError(b, put(b, r, "d/one", string(make([]byte, 1<<20))))
	b.ReportAllocs()
	for b.Loop() {
		in, err := r.Get(b.Context(), "d/one", 1000, 4096)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, in)
		require.NoError(b, err)
		require.NoError(b, in.Close())
	}
}

func BenchmarkList(b *testing.B) {
	r := opened(b, b.TempDir())
	for i := range 1000 {
		require.NoError(b, put(b, r, fmt.Sprintf("d/%032d", i), ""))
	}
	for _, after := range []string{"", "d/00000000000000000000000000000990"} {
		b.Run("after "+after, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range r.List(b.Context(), "d/", after) {
					require.NoError(b, err)
				}
			}
		})
	}
}
