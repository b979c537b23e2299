package traffic

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// counts are those of a revision.
type counts struct {
	requests, errors, cancelled atomic.Int64
	latency                     [buckets]atomic.Int64
}

// Buckets of latency are a quarter of a power of two wide: no bound is more than
// a quarter above the one before, from 65 microseconds to two minutes.
const (
	buckets = 84
	unit    = 16 // bits of nanoseconds
)

// bucket returns that of a latency.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0)) >> unit
	if v < 4 {
		return int(v)
	}
	n := bits.Len64(v)
	return min((n-2)*4+int(v>>(n-3)&3), buckets-1)
}

// bound is the latency that all of a bucket are within.
func bound(i int) time.Duration {
	switch {
	case i == buckets-1:
		return math.MaxInt64
	case i < 4:
		return time.Duration(i+1) << unit
	}
	return time.Duration(4+i%4+1) << (i/4 - 1) << unit
}

func (c *counts) read() rollout.Counts {
	out := rollout.Counts{
		Requests: c.requests.Load(), Errors: c.errors.Load(), Cancelled: c.cancelled.Load(),
		Latency: make([]rollout.Bucket, buckets),
	}
	for i := range out.Latency {
		out.Latency[i] = rollout.Bucket{Within: bound(i), Count: c.latency[i].Load()}
	}
	return out
}
