package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

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
	// Owner names this process in leases and runs. Default: host name and
	// process id.
	Owner string
	// OnFinish is told of every run that this Updater ended, once, after its
	// lock is free. It is called on the run's own goroutine and should not
	// take long: Close and Shutdown wait for it. Default: nothing.
	OnFinish func(Run)
	// Logger receives a line when a run begins, is taken up from another
	// process, turns back and ends, and when a lock is broken. Default:
	// slog.Default().
	Logger *slog.Logger
}

// Package is one thing that may be updated.
type Package struct {
	Name   string // required: 1 to 256 bytes of letters, digits and . _ - / @ +
	Source Source // required: the versions there are
	// Steps is required: how to get to one of them. A run has the steps, in
	// the order, that the package had when it began, and finds them by name,
	// in the process that takes it over too, which may be of the next release.
	// What it has done already may be gone from there, and what was added is
	// not done in that run. What it still has to do must be there, or it is
	// rolled back; and what cannot be undone because it is gone is passed over
	// on the way back, which fails then and says so.
	Steps []Step
	// Lock is the lock, whose lease is on lease.Item("update", Lock). Packages
	// with the same one are updated one at a time. Default DefaultLock.
	Lock string
	// Current returns the installed version, "" for none. Default: the
	// version of the last run that succeeded.
	Current func(ctx context.Context) (string, error)
	// Gate refuses a request, usually with ErrDisabled. Default: allow.
	Gate func(ctx context.Context, r Request) error
	// AllowPrerelease makes every request allow pre-releases, for packages
	// that have nothing else, such as Go modules without a tag.
	AllowPrerelease bool

	byName map[string]int // index of each step
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

// packageName leaves the length out: as a part of the pattern it would make
// every program begin with a table of a quarter of a megabyte.
var packageName = regexp.MustCompile(`^[A-Za-z0-9@][A-Za-z0-9._/@+-]*$`)

// New returns an Updater. It starts nothing.
func New(c Config) (*Updater, error) {
	if c.LockTTL == 0 {
		c.LockTTL = 3 * time.Minute
	}
	if c.OnFinish == nil {
		c.OnFinish = func(Run) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
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
	c.Packages = slices.Clone(c.Packages)
	u := &Updater{
		config: c, packages: map[string]*Package{}, live: map[string]*runner{},
		stopping: make(chan struct{}), returned: make(chan struct{}),
	}
	u.life, u.endLife = context.WithCancelCause(context.Background())
	for i := range c.Packages {
		p := &c.Packages[i]
		if err := p.prepare(); err != nil {
			return nil, fmt.Errorf("%w: package %q: %w", ErrInvalid, cut(p.Name, 256), err)
		}
		if u.packages[p.Name] != nil {
			return nil, fmt.Errorf("%w: package %q is listed twice", ErrInvalid, p.Name)
		}
		u.packages[p.Name] = p
	}
	return u, nil
}

// prepare checks p and fills in its defaults.
func (p *Package) prepare() error {
	if p.Lock == "" {
		p.Lock = DefaultLock
	}
	p.Steps = slices.Clone(p.Steps)
	switch {
	case len(p.Name) > maxName || !packageName.MatchString(p.Name) || slices.Contains(strings.Split(p.Name, "/"), ".."):
		return errors.New("the Name must be 1 to 256 bytes of letters, digits and . _ - / @ +, and no option or path upwards")
	case p.Source == nil:
		return errors.New("a Source is required")
	case len(p.Steps) == 0:
		return errors.New("at least one step is required")
	}
	if err := lease.CheckItem(itemOf(p.Lock)); err != nil {
		return fmt.Errorf("the Lock %q: %w", cut(p.Lock, 256), err)
	}
	p.byName = map[string]int{}
	for i, s := range p.Steps {
		first, twice := p.byName[s.Name]
		switch {
		case s.Name == "" || len(s.Name) > 128:
			return fmt.Errorf("a step's Name has %d bytes, 1 to 128 are allowed", len(s.Name))
		case twice:
			return fmt.Errorf("steps %d and %d have the same Name %q: give one of them a Name of its own, "+
				"as step.Named does, and keep it for ever, since a run finds its steps by name", first+1, i+1, s.Name)
		case s.Do == nil:
			return fmt.Errorf("step %q: Do is required", s.Name)
		case s.Weight < 0 || s.Timeout < 0:
			return fmt.Errorf("step %q: Weight and Timeout must not be negative", s.Name)
		}
		p.byName[s.Name] = i
	}
	return nil
}
