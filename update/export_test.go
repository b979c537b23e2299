package update

import (
	"testing"
	"time"
)

// SleepBy makes sleepless run ahead of the program's clock by what slept
// returns, for a test: the machine has slept so long.
func SleepBy(t testing.TB, slept func() time.Duration) {
	begun := time.Now()
	sleepless = func() time.Duration { return time.Since(begun) + slept() }
	t.Cleanup(func() { sleepless = boottime })
}

// StopExpiry stops the timer that ends h, as if the process had been stopped.
func StopExpiry(h *Held) { h.expiry.Stop() }
