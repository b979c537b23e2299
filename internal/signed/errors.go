package signed

import "errors"

// Why something signed is refused. The message says more. Who hands one out puts its
// own name before it, as before all errors of this package.
var (
	// ErrMalformed reports what breaks the rules of its format.
	ErrMalformed = errors.New("malformed")
	// ErrSignature reports that no trusted key has signed, or fewer than it takes.
	ErrSignature = errors.New("not signed by a trusted key")
	// ErrExpired reports what counts no more.
	ErrExpired = errors.New("expired")
	// ErrClock reports that the clock of this machine seems to be wrong, so that
	// nothing can be said of an age.
	ErrClock = errors.New("the clock of this machine seems wrong")
)
