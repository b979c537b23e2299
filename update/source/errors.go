package source

import (
	"errors"
	"fmt"
	"time"
)

// Why a source gives no versions. For what may be wrong with a manifest see
// package manifest.
var (
	// ErrInsecure reports an address, or a redirect to one, that anybody on the
	// way could answer for.
	ErrInsecure = errors.New("source: not https")
	// ErrAmbiguous reports a release with several files for one system, or
	// several lists of checksums.
	ErrAmbiguous = errors.New("source: ambiguous")
	// ErrRateLimited reports that the server wants to be left alone.
	ErrRateLimited = errors.New("source: rate limited")
)

// RateLimitError is the ErrRateLimited that tells when to ask again.
type RateLimitError struct {
	Host  string
	Until time.Time // by this machine's clock
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("source: %s is not to be asked before %s", e.Host, e.Until.UTC().Format(time.RFC3339))
}

// Unwrap returns ErrRateLimited.
func (e *RateLimitError) Unwrap() error { return ErrRateLimited }
