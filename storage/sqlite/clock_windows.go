package sqlite

import "golang.org/x/sys/windows"

// bootMicros reads a clock that, like Go's monotonic clock here, counts the
// time that the machine sleeps.
func bootMicros() int64 { return windows.DurationSinceBoot().Microseconds() }

// bootID is unknown: Windows does not name its boots. A lease of an earlier
// boot is recognised when it has more time left than it ever had; else it
// lasts once more for as long as it had left.
func bootID() string { return "" }
