package signed

import "errors"

// Why something signed is refused. The message says more.
var (
	// ErrMalformed reports what breaks the rules of its format.
	ErrMalformed = errors.New("signed: malformed")
	// ErrSignature reports that no trusted key has signed, or fewer than it takes.
	ErrSignature = errors.New("signed: not signed by a trusted key")
	// ErrExpired reports what counts no more.
	ErrExpired = errors.New("signed: expired")
	// ErrClock reports that the clock of this machine seems to be wrong, so that
	// nothing can be said of an age.
	ErrClock = errors.New("signed: the clock of this machine seems wrong")
)
