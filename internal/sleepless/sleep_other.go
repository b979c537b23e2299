//go:build freebsd || windows

package sleepless

import "time"

// boottime is not known here. The wall clock tells of a sleep.
func boottime() time.Duration { return 0 }
