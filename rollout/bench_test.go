//go:build unix

package rollout_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkIdle is a Controller that looks after 1,000 services of 10 revisions
// each to which nothing happens: the share of a processor that it uses in
// five seconds, or with UPKEEP_FULL=1 in a minute, in which it reads all records
// once. Goal: 1 %.
func BenchmarkIdle(b *testing.B) {
	w := newWorld(b)
	fillServices(w, 1000, 10)
	c := w.controller()
	w.tend(c)
	for quiet, seen := 0, int64(0); quiet < 3; quiet++ { // until all was looked at
		time.Sleep(time.Second)
		if now := w.fleet.observed.Load(); now != seen {
			quiet, seen = 0, now
		}
	}
	span := 5 * time.Second
	if os.Getenv("UPKEEP_FULL") == "1" {
		span = time.Minute
	}
	for b.Loop() {
		begun, start := time.Now(), used()
		time.Sleep(span)
		b.ReportMetric(100*float64(used()-start)/float64(time.Since(begun)), "%-of-a-core")
	}
}

// used is the processor time that this process has used.
func used() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
