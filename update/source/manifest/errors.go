package manifest

import (
	"errors"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// Why a manifest is refused. The message says more.
var (
	// ErrMalformed reports what is no manifest, or one that breaks the rules of
	// the format.
	ErrMalformed = signed.ErrMalformed
	// ErrSignature reports that no trusted key has signed the manifest, or
	// fewer than it takes.
	ErrSignature = signed.ErrSignature
	// ErrMismatch reports the manifest of another product or channel.
	ErrMismatch = errors.New("manifest: for something else")
	// ErrReplayed reports a manifest that is older than one that was seen, or
	// another one with the same serial.
	ErrReplayed = errors.New("manifest: older than one seen before")
	// ErrExpired reports a manifest that counts no more.
	ErrExpired = signed.ErrExpired
	// ErrClock reports that the clock of this machine seems to be wrong, so
	// that nothing can be said of the manifest's age. It may come with
	// ErrExpired.
	ErrClock = signed.ErrClock
)

// named is an error of package signed under the name of this one.
func named(err error) error {
	if err != nil {
		err = fmt.Errorf("manifest: %w", err)
	}
	return err
}
