package sqlite

import "golang.org/x/sys/unix"

// bootMicros reads the clock that Go's monotonic clock is.
func bootMicros() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_UPTIME_RAW, &t); err != nil {
		panic(err) // no macOS that Go runs on is without it
	}
	return t.Nano() / 1000
}
