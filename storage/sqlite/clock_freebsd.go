package sqlite

import "golang.org/x/sys/unix"

// bootMicros reads the clock that Go's monotonic clock is.
func bootMicros() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // no FreeBSD is without it
	}
	return t.Nano() / 1000
}

// bootID is unknown: the time of the boot changes with the wall clock. A lease
// of an earlier boot is recognised when it has more time left than it ever
// had; else it lasts once more for as long as it had left.
func bootID() string { return "" }
