package github

import (
	"errors"
	"fmt"
	"time"
)

// Why a Source gives no versions, besides source.ErrInsecure.
var (
	// ErrAmbiguous reports a release with several files for one system, or
	// several lists of checksums.
	ErrAmbiguous = errors.New("github: ambiguous")
	// ErrRateLimited reports that the server wants to be left alone.
	ErrRateLimited = errors.New("github: rate limited")
)

// RateLimitError is the ErrRateLimited that tells when to ask again.
type RateLimitError struct {
	Host  string
	Until time.Time // by this machine's clock
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("github: %s is not to be asked before %s", e.Host, e.Until.UTC().Format(time.RFC3339))
}

// Unwrap returns ErrRateLimited.
func (e *RateLimitError) Unwrap() error { return ErrRateLimited }
