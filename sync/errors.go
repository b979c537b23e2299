package sync

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/upkeep-go/upkeep/internal/cause"
	"github.com/upkeep-go/upkeep/lease"
)

// Decisions a caller may want to make. The message says what happened.
var (
	// ErrBusy reports that a run is live, or that another Folder is at work in the
	// same directory.
	ErrBusy = errors.New("sync: in progress")
	// ErrBooting is the ErrBusy of the first run of Folder.Run.
	ErrBooting = fmt.Errorf("%w: first run after start", ErrBusy)
	// ErrDisabled reports that syncs are switched off.
	ErrDisabled = errors.New("sync: disabled")
	// ErrNotFound reports an unknown run, commit, path, remote or object. It is
	// fs.ErrNotExist.
	ErrNotFound = fmt.Errorf("sync: not found: %w", fs.ErrNotExist)
	// ErrInvalid reports a request that can never succeed as it stands.
	ErrInvalid = errors.New("sync: invalid request")
	// ErrExists reports an object, or a remote, that is there already.
	ErrExists = errors.New("sync: exists")
	// ErrNotEmpty reports a folder that has something.
	ErrNotEmpty = errors.New("sync: folder not empty")
	// ErrStale reports a plan, a write or a look that has been overtaken.
	ErrStale = errors.New("sync: overtaken")

	// ErrGuard reports a sync that would delete too much, or a folder that is
	// empty or another one than before: Request.Plan is the way past it. It also
	// reports a compaction by a clock of the remote that cannot be right.
	ErrGuard = errors.New("sync: refused by a guard")
	// ErrForked reports a remote that has gone back, or has two histories.
	// Request.Fresh is the way past it.
	ErrForked = errors.New("sync: remote has another history")
	// ErrUnsafe reports a remote that overwrites what is there.
	ErrUnsafe = errors.New("sync: remote overwrites objects")
	// ErrPassphrase reports a passphrase that opens nothing.
	ErrPassphrase = errors.New("sync: wrong passphrase")
	// ErrCorrupt reports an object that is not what was put.
	ErrCorrupt = errors.New("sync: damaged object")
	// ErrDenied reports a remote that refuses us.
	ErrDenied = errors.New("sync: remote denies access")
	// ErrFull reports a side without space. Files for which there is none here are
	// no error: they are in Status.Problems.
	ErrFull = errors.New("sync: no space left")
	// ErrUnavailable reports a remote that does not answer.
	ErrUnavailable = errors.New("sync: remote unavailable")

	// ErrFailed reports a run that failed. Its Reason says why.
	ErrFailed = errors.New("sync: failed")
	// ErrCancelled reports that somebody cancelled the run.
	ErrCancelled = errors.New("sync: cancelled")
	// ErrCompacted reports that events after the given one are no longer kept.
	ErrCompacted = errors.New("sync: events are no longer kept")
	// ErrClosed reports a call on a closed Folder or Remote.
	ErrClosed = errors.New("sync: closed")
)

// UnavailableError is the ErrUnavailable that tells when to try again.
type UnavailableError struct {
	After time.Duration
	Err   error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("sync: remote unavailable, again in %s: %v", e.After, e.Err)
}

// Unwrap returns ErrUnavailable and Err.
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

var (
	errClosing   = fmt.Errorf("%w: the run is left for the next Run", ErrClosed)
	errOvertaken = fmt.Errorf("%w: somebody else may act", lease.ErrLost)
)

// causes are the names under which a record keeps why a run did not succeed.
var causes = cause.Names{
	{"guard", ErrGuard}, {"forked", ErrForked}, {"unsafe", ErrUnsafe}, {"passphrase", ErrPassphrase},
	{"corrupt", ErrCorrupt}, {"denied", ErrDenied}, {"full", ErrFull}, {"unavailable", ErrUnavailable},
	{"busy", ErrBusy}, {"stale", ErrStale}, {"disabled", ErrDisabled}, {"invalid", ErrInvalid}, {"not_found", ErrNotFound},
}
