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
