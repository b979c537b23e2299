package sqlite

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootMicros reads the clock that Go's monotonic clock is.
func bootMicros() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // no Linux is without it
	}
	return t.Nano() / 1000
}

// bootID is "" where a sandbox hides it.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
