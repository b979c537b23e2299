package fetch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Passing is an error after which another attempt may do better.
type Passing struct {
	Err   error
	After time.Duration // that the server asks for
}

func (p *Passing) Error() string { return p.Err.Error() }

// Unwrap returns what may pass.
func (p *Passing) Unwrap() error { return p.Err }

// Retry says when to try again what goes on where it has failed. It counts the
// failures in a row.
type Retry struct {
	// First is required, the longest that the random pause after a first failure
	// may be. It doubles with each failure, up to Longest, which is required too.
	First, Longest time.Duration
	// Patience is how long a server may send this process away. 0 is for ever.
	Patience time.Duration
	// Attempts is how many failures in a row are the end. 0 is none.
	Attempts int
	// Enough is what an attempt has to bring to be no failure, in bytes. Default 1.
	Enough int64
	// Reached is the most bytes that there ever were.
	Reached int64
	// Failures are those in a row so far.
	Failures int
}

// After is how long to wait after an attempt that ended with err when there
// were reached bytes in all. It returns an error if there is to be no other
// attempt.
func (r *Retry) After(err error, reached int64) (time.Duration, error) {
	var trouble *Passing
	if !errors.As(err, &trouble) {
		return 0, err
	}
	if reached >= r.Reached+max(r.Enough, 1) {
		r.Failures = 0
	}
	r.Reached = max(r.Reached, reached)
	if r.Failures++; r.Attempts != 0 && r.Failures >= r.Attempts {
		return 0, fmt.Errorf("given up after %d attempts: %w", r.Failures, err)
	}
	longest := r.First
	for i := 1; i < r.Failures && longest < r.Longest; i++ {
		longest *= 2
	}
	pause := trouble.After + rand.N(min(longest, r.Longest))
	if r.Patience > 0 && pause > r.Patience {
		return 0, fmt.Errorf("the server asks to wait %s: %w", pause.Round(time.Second), err)
	}
	return pause, nil
}
