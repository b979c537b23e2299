package update

import (
	"testing"
	"time"
)

// SleepBy makes the clocks that go on run ahead of the program's by what they
// return, for a test: that of the system and the wall clock.
func SleepBy(t testing.TB, system, wall func() time.Duration) {
	begun, before := time.Now(), sleepless
	sleepless = func() [2]time.Duration {
		awake := time.Since(begun)
		return [2]time.Duration{awake + system(), awake + wall()}
	}
	t.Cleanup(func() { sleepless = before })
}

// StopExpiry stops the timer that ends h, as if the process had been stopped.
func StopExpiry(h *Held) { h.expiry.Stop() }
