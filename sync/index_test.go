package sync_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func TestHeadsAreListedTheNewestFirst(t *testing.T) {
	last := "heads/g"
	for _, seq := range []int64{1, 2, 9, 10, 255, 256, 1 << 40, math.MaxInt64} {
		name := cloudsync.HeadName(seq)
		require.Less(t, name, last)
		got, err := cloudsync.HeadSeq(name)
		require.NoError(t, err)
		require.Equal(t, seq, got)
		last = name
	}
	for _, name := range []string{"", "heads/", "heads/7fffffffffffffff", "heads/8000000000000000", "heads/7ffffffffffffff", "heads/07ffffffffffffffe", "heads/-000000000000001", "index/7ffffffffffffffe", "heads/7fffffffffffffzz"} {
		_, err := cloudsync.HeadSeq(name)
		require.ErrorIs(t, err, cloudsync.ErrCorrupt, name)
	}
}

func TestADamagedIndexIsSeen(t *testing.T) {
	good := cloudsync.NewIndex(3, 4)
	again, err := cloudsync.Reindex(good)
	require.NoError(t, err)
	require.Equal(t, good, again)
	for n := range good {
		if _, err := cloudsync.Reindex(good[:n]); err == nil {
			// an index of fewer contents is an index: what was sealed is not shortened
			require.Zero(t, (len(good)-n)%48, "%d of %d bytes", n, len(good))
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x80
		if again, err := cloudsync.Reindex(bad); err == nil {
			require.Equal(t, bad, again, "byte %d", i)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(cloudsync.NewIndex(0, 0))
	f.Add(cloudsync.NewIndex(1, 1))
	f.Add(cloudsync.NewIndex(3, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := cloudsync.Reindex(b)
		if err != nil {
			require.ErrorIs(t, err, cloudsync.ErrCorrupt)
			return
		}
		require.Equal(t, b, again, "an index has one form")
	})
}
