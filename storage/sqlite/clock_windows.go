package sqlite

import "golang.org/x/sys/windows"

// bootMicros reads a clock that, like Go's monotonic clock here, counts the
// time that the machine sleeps.
func bootMicros() int64 { return windows.DurationSinceBoot().Microseconds() }
