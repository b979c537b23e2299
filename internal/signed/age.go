package signed

import (
	"fmt"
	"time"
)

// clockSlack is how far clocks may be apart: a day, since many a clock is set
// to another time zone's time.
const clockSlack = 24 * time.Hour

// Age refuses what has expired, and a clock that cannot tell: one that is before
// issued, or before latest, the latest time that anything known was signed.
func Age(issued, expires, latest, now time.Time) error {
	if issued.After(latest) {
		latest = issued
	}
	if now.Before(latest.Add(-clockSlack)) {
		return fmt.Errorf("%w: it says %s, and something was signed at %s", ErrClock, stamp(now), stamp(latest))
	}
	if !now.Before(expires) {
		return fmt.Errorf("%w: at %s, and it is %s", ErrExpired, stamp(expires), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
