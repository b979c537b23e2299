package update

import (
	"errors"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/fault"
)

// Decisions a caller may want to make. The message says what happened.
var (
	// ErrBusy reports that a run that shares the lock is live. It comes with
	// lease.ErrHeld.
	ErrBusy = errors.New("update: in progress")
	// ErrDisabled reports that updates of the package are switched off.
	ErrDisabled = errors.New("update: disabled")
	// ErrUpToDate reports that the wanted version is installed.
	ErrUpToDate = errors.New("update: up to date")
	// ErrNotFound reports an unknown package, version or run.
	ErrNotFound = errors.New("update: not found")
	// ErrInvalid reports a request that can never succeed as it stands.
	ErrInvalid = errors.New("update: invalid request")
	// ErrExists reports that the journal has the run already.
	ErrExists = errors.New("update: run exists")
	// ErrStale reports a write by somebody who has been overtaken.
	ErrStale = errors.New("update: overtaken")
	// ErrTooLate reports that the run has passed its point of no return.
	ErrTooLate = errors.New("update: past the point of no return")
	// ErrStalled is the cause of a step's context that showed no progress for
	// Config.LockTTL.
	ErrStalled = errors.New("update: stalled")
	// ErrFailed reports that a step failed. The run's Reason says which and why.
	ErrFailed = errors.New("update: failed")
	// ErrCancelled reports that somebody cancelled the run.
	ErrCancelled = errors.New("update: cancelled")
	// ErrCompacted reports that events after the given one are no longer kept.
	ErrCompacted = errors.New("update: events are no longer kept")
	// ErrCorrupt reports a record that is not what was written, or more of a
	// store. It is storage.ErrCorrupt.
	ErrCorrupt = fault.ErrCorrupt
	// ErrClosed reports a call on a closed Updater.
	ErrClosed = errors.New("update: closed")
)

// chain is an error with its cause, and says each once.
func chain(cause, err error) error {
	switch {
	case err == nil, errors.Is(err, cause):
		return err
	case errors.Is(cause, err):
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}
