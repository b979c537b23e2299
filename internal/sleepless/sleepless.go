// Package sleepless has the clocks that go on while a machine sleeps, which that
// of package time does not.
package sleepless

import "time"

// Clocks returns the time of two clocks that go on: one of the system, which
// nobody sets, and the wall clock, which is set after a virtual machine was
// paused. Only differences between two calls mean something. Tests replace it.
var Clocks = func() [2]time.Duration {
	return [2]time.Duration{boottime(), time.Duration(time.Now().UnixNano())}
}
