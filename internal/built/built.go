// Package built knows when the program was built: a moment before which no
// clock that is right can be.
package built

import (
	"runtime/debug"
	"sync"
	"time"
)

// At is when this program was built, by the version control system that the go
// command has found, or else the zero time.
var At = sync.OnceValue(func() (t time.Time) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return t
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			t, _ = time.Parse(time.RFC3339, setting.Value)
		}
	}
	return t
})

// Now is the time, but never before the program was built.
func Now() time.Time { return Latest(time.Now(), At()) }

// Latest is the last of some moments.
func Latest(first time.Time, more ...time.Time) time.Time {
	for _, t := range more {
		if t.After(first) {
			first = t
		}
	}
	return first
}
