package update

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/lease"
)

// DefaultLock is the lock of packages that name no other.
const DefaultLock = "core"

// Locker keeps two updates apart, in one process or in many. It is documented
// as [lease.Locker], since others stand on it too; this domain is where it is
// known from.
type Locker = lease.Locker

// itemOf names the item of a lock's lease; no Locker takes that of no lock.
func itemOf(lock string) string {
	if lock == "" {
		return ""
	}
	return lease.Item("update", lock)
}

// Store is an engine that keeps what an Updater needs, such as a *memory.DB, a
// *sqlite.DB or a *postgres.DB.
type Store interface {
	Locker() lease.Locker
	Journal() Journal
}

// Config configures an Updater. A zero field means its documented default.
type Config struct {
	Store    Store     // required, or Locker and Journal: an engine, as it is
	Packages []Package // required: what may be updated, and how
	// Locker and Journal are for who mixes engines. Default: those of Store.
	Locker  lease.Locker
	Journal Journal
	// LockTTL is how long the lock of a dead process lasts, and how long a
	// step may go without a sign of progress before it is stalled: its
	// context ends with ErrStalled and the run is rolled back. Default 3
	// minutes, which is the document's; at least 1 second.
	LockTTL time.Duration
	// Owner names this process in leases and runs, in at most 256 bytes.
	// Default: host name and process id.
	Owner string
	// OnFinish is told of every run that this Updater ended, once, after its
	// lock is free. It is called on the run's own goroutine and should not
	// take long: Close and Shutdown wait for it. Default: nothing.
	OnFinish func(Run)
	// Logger receives a line when a run begins, is left to another process or
	// taken up from one, turns back and ends, and when a lock is broken.
	// Default: slog.Default().
	Logger *slog.Logger
}

// Request asks for an update.
type Request struct {
	Package string // required
	// Version is "" or "latest", an exact version, or a constraint such as
	// "^1.2", "~1.2", "1.*", ">=1.2, <2" or "1.2 || 2.0"; as in Composer, "~1.2"
	// is below 2 and "~1.2.0" below 1.3. At most 256 bytes.
	Version string
	// AllowDowngrade allows a version below the installed one.
	AllowDowngrade bool
	// AllowPrerelease allows "latest" and constraints to find a pre-release;
	// an exact version may always be one.
	AllowPrerelease bool
	// Wait waits for the lock until Start's ctx ends, in place of ErrBusy, so
	// that the programs of a fleet take turns. The run does not keep it.
	Wait bool
	// By says who asks and why, for the history; what is longer than By allows
	// is refused. A repeated By.RequestID returns the first run.
	By By
}

// New returns an Updater. It starts nothing.
func New(c Config) (*Updater, error) {
	c.LockTTL = cmp.Or(c.LockTTL, 3*time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.OnFinish == nil {
		c.OnFinish = func(Run) {}
	}
	if c.Store != nil && c.Locker == nil {
		c.Locker = c.Store.Locker()
	}
	if c.Store != nil && c.Journal == nil {
		c.Journal = c.Store.Journal()
	}
	switch {
	case c.Locker == nil:
		return nil, fmt.Errorf("%w: Config.Store or Config.Locker is required", ErrInvalid)
	case c.Journal == nil:
		return nil, fmt.Errorf("%w: Config.Store or Config.Journal is required", ErrInvalid)
	case len(c.Packages) == 0:
		return nil, fmt.Errorf("%w: Config.Packages is required", ErrInvalid)
	case c.LockTTL < time.Second:
		return nil, fmt.Errorf("%w: Config.LockTTL is %s, at least 1s is needed", ErrInvalid, c.LockTTL)
	}
	if err := fits("Config.Owner", c.Owner, maxName); err != nil {
		return nil, err
	}
	c.Packages = slices.Clone(c.Packages)
	u := &Updater{
		config: c, packages: map[string]*Package{}, live: map[string]*runner{}, door: closing.NewDoor(ErrClosed, errClosing),
	}
	for i := range c.Packages {
		p := &c.Packages[i]
		if err := p.prepare(); err != nil {
			return nil, fmt.Errorf("%w: package %q: %w", ErrInvalid, cut(p.Name, maxName), err)
		}
		if u.packages[p.Name] != nil {
			return nil, fmt.Errorf("%w: package %q is listed twice", ErrInvalid, p.Name)
		}
		u.packages[p.Name] = p
	}
	return u, nil
}
