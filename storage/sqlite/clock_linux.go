package sqlite

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootMicros reads the clock that Go's monotonic clock is, as the machine has
// it: in a time namespace of its own a process sees it with an offset.
func bootMicros() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // no Linux is without it
	}
	return (t.Nano() - timeOffset()) / 1000
}

// timeOffset is how far the monotonic clock of this process's time namespace
// is ahead of the machine's, in nanoseconds. A process tells the offset of the
// namespace that its children get, which nearly always is its own; else its
// parent, or the first process, may tell it.
func timeOffset() int64 {
	own, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		return 0 // before Linux 5.6 there is but one, and no /proc in some sandboxes
	}
	for _, process := range []string{"self", fmt.Sprint(os.Getppid()), "1"} {
		theirs, err := os.Readlink("/proc/" + process + "/ns/time_for_children")
		if err != nil || theirs != own {
			continue
		}
		if offsets, err := os.ReadFile("/proc/" + process + "/timens_offsets"); err == nil {
			return monotonicOffset(string(offsets))
		}
	}
	return 0
}

// monotonicOffset reads a line "monotonic SECONDS NANOSECONDS".
func monotonicOffset(offsets string) int64 {
	for line := range strings.Lines(offsets) {
		var clock string
		var seconds, nanoseconds int64
		if n, _ := fmt.Sscan(line, &clock, &seconds, &nanoseconds); n == 3 && clock == "monotonic" {
			return seconds*1e9 + nanoseconds
		}
	}
	return 0
}
