package firmware

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/upkeep-go/upkeep/internal/cause"
)

// Decisions a caller may want to make. The message says what happened.
var (
	// ErrBusy reports that a run is live, an image on trial included.
	ErrBusy = errors.New("firmware: in progress")
	// ErrDisabled reports that updates are switched off.
	ErrDisabled = errors.New("firmware: disabled")
	// ErrUpToDate reports that the wanted image runs.
	ErrUpToDate = errors.New("firmware: up to date")
	// ErrRolledBack reports that what is newer has been rolled back on this
	// device: it is tried again when somebody names its version.
	ErrRolledBack = errors.New("firmware: rolled back on this device")
	// ErrRestarting reports a run that goes on after the restart.
	ErrRestarting = errors.New("firmware: restarting")
	// ErrNotFound reports an unknown run, version or object. It is fs.ErrNotExist.
	ErrNotFound error = notFound{}
	// ErrInvalid reports a request that can never succeed as it stands.
	ErrInvalid = errors.New("firmware: invalid request")
	// ErrExists reports a request that is recorded already.
	ErrExists = errors.New("firmware: exists")
	// ErrStale reports a plan, a write or a wish that has been overtaken.
	ErrStale = errors.New("firmware: overtaken")
	// ErrTooLate reports that the slot is activated, or that there is nothing
	// to go back to.
	ErrTooLate = errors.New("firmware: past the point of no return")

	// ErrSignature reports something that too few trusted keys have signed.
	ErrSignature = errors.New("firmware: bad signature")
	// ErrExpired reports a catalog or a bundle past its date.
	ErrExpired = errors.New("firmware: expired")
	// ErrReplayed reports a catalog that is older than one accepted before.
	ErrReplayed = errors.New("firmware: older catalog than before")
	// ErrDowngrade reports an epoch below the floor, or a lower version that
	// was not asked for.
	ErrDowngrade = errors.New("firmware: downgrade")
	// ErrMismatch reports a release of another product, for other hardware, or
	// one that cannot replace the running version.
	ErrMismatch = errors.New("firmware: not for this device")
	// ErrCorrupt reports bytes that no way could bring as they were signed, or
	// a record that cannot be read.
	ErrCorrupt = errors.New("firmware: damaged")
	// ErrNoSpace reports an image that does not fit its slot.
	ErrNoSpace = errors.New("firmware: no space")
	// ErrUnavailable reports a feed that does not answer, or slots of which
	// nobody can tell what would start.
	ErrUnavailable = errors.New("firmware: unavailable")
	// ErrUnhealthy reports a new image that was not confirmed: it said that it
	// is not well, it did not say in time that it is, or it did not start.
	ErrUnhealthy = errors.New("firmware: new image not confirmed")

	// ErrFailed reports a run that failed or was rolled back. Its Reason says why.
	ErrFailed = errors.New("firmware: failed")
	// ErrCancelled reports that somebody cancelled the run.
	ErrCancelled = errors.New("firmware: cancelled")
	// ErrCompacted reports that events after the given one are no longer kept.
	ErrCompacted = errors.New("firmware: events are no longer kept")
	// ErrClosed reports a call on a closed Service.
	ErrClosed = errors.New("firmware: closed")
)

// notFound is ErrNotFound. Nobody who asks for a run wants to hear of a file.
type notFound struct{}

func (notFound) Error() string { return "firmware: not found" }
func (notFound) Unwrap() error { return fs.ErrNotExist }

// causes are the names under which a record keeps why something did not
// succeed, so that Err is the same error after a restart.
var causes = cause.Names{
	{"signature", ErrSignature}, {"expired", ErrExpired}, {"replayed", ErrReplayed},
	{"downgrade", ErrDowngrade}, {"mismatch", ErrMismatch}, {"corrupt", ErrCorrupt},
	{"no_space", ErrNoSpace}, {"unavailable", ErrUnavailable}, {"not_found", ErrNotFound},
	{"unhealthy", ErrUnhealthy}, {"stale", ErrStale}, {"invalid", ErrInvalid}, {"too_late", ErrTooLate},
}

func isUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) }

// UnavailableError is the ErrUnavailable that tells when to try again.
type UnavailableError struct {
	After time.Duration // from now on; 0: not said
	Err   error
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return ErrUnavailable.Error()
	}
	return ErrUnavailable.Error() + ": " + e.Err.Error()
}

// Unwrap returns ErrUnavailable and Err.
func (e *UnavailableError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUnavailable}
	}
	return []error{ErrUnavailable, e.Err}
}

// SpaceError is the ErrNoSpace that tells how much is missing.
type SpaceError struct{ Need, Have int64 } // bytes

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %d bytes are needed, %d are there", ErrNoSpace, e.Need, e.Have)
}

// Unwrap returns ErrNoSpace.
func (e *SpaceError) Unwrap() error { return ErrNoSpace }
