package update

import (
	"context"
	"log/slog"
	"time"
)

// DefaultLock is the lock item of packages that name no other.
const DefaultLock = "core"

// Config configures an Updater. A zero field means its documented default.
type Config struct {
	Locker   Locker    // required
	Journal  Journal   // required
	Packages []Package // required: what may be updated, and how
	// LockTTL is how long the lock of a dead process lasts, and how long a
	// step may go without a sign of progress before it is stalled: its
	// context ends with ErrStalled and the run is rolled back. Default 3
	// minutes, which is the document's; at least 1 second.
	LockTTL time.Duration
	// Owner names this process in leases and runs. Default: host name and
	// process id.
	Owner string
	// OnFinish is told of every run that this Updater ended, once, after its
	// lock is free. It is called on the run's own goroutine and should not
	// take long: Close waits for it. Default: nothing.
	OnFinish func(Run)
	// Logger receives one line per finished run. Default: discard.
	Logger *slog.Logger
}

// Package is one thing that may be updated.
type Package struct {
	Name   string // required: 1 to 256 bytes of letters, digits and . _ - / @ +
	Source Source // required: the versions there are
	Steps  []Step // required: how to get to one of them
	// Lock is the lock item. Packages with the same one are updated one at a
	// time. Default DefaultLock.
	Lock string
	// Current returns the installed version, "" for none. Default: the
	// version of the last run that succeeded.
	Current func(ctx context.Context) (string, error)
	// Gate refuses a request, usually with ErrDisabled. Default: allow.
	Gate func(ctx context.Context, r Request) error
	// AllowPrerelease makes every request allow pre-releases, for packages
	// that have nothing else, such as Go modules without a tag.
	AllowPrerelease bool
}

// Request asks for an update.
type Request struct {
	Package string // required
	// Version is "" or "latest", an exact version, or a constraint such as
	// "^1.2", "~1.2", "1.*", ">=1.2, <2" or "1.2 || 2.0". At most 256 bytes.
	Version string
	// AllowDowngrade allows a version below the installed one.
	AllowDowngrade bool
	// AllowPrerelease allows "latest" and constraints to find a pre-release;
	// an exact version may always be one.
	AllowPrerelease bool
	Actor           string // who asks, for the history; at most 256 bytes
	RequestID       string // a repeated id returns the first run; at most 256 bytes
}
