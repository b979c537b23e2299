package update

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lease"
)

// Updater updates the packages of its Config. It is safe for concurrent use.
type Updater struct {
	config   Config
	packages map[string]*Package

	line lease.Line    // of those who wait for a lock
	door *closing.Door // of the work

	mu   sync.Mutex
	live map[string]*runner // by run id: the runs that this process works on
}

// Packages returns the names of the packages, in the order of the Config.
func (u *Updater) Packages() []string {
	names := make([]string, len(u.config.Packages))
	for i, p := range u.config.Packages {
		names[i] = p.Name
	}
	return names
}

// Start validates the request, takes the lock, records the run and returns;
// the update goes on in the background and does not end with ctx. A run that a
// dead process left behind is finished or rolled back first. It returns
// ErrBusy while another run holds the lock, or may come back to it, or when
// somebody holds it without a run for more than 5 seconds, unless Request.Wait
// is set; ErrUpToDate when there is nothing to do, ErrFailed when
// a step's pre-flight check fails, and lease.ErrLost when the lock was lost before
// the run could be recorded.
//
// When ctx ends before Start has returned, the run may have begun all the
// same: repeat the request with its RequestID to learn that.
func (u *Updater) Start(ctx context.Context, r Request) (Run, error) {
	p, err := u.validate(r)
	if err != nil {
		return Run{}, err
	}
	if err := p.gate(ctx, r); err != nil {
		return Run{}, err
	}
	if run, found, err := u.earlier(ctx, r, ""); found || err != nil {
		return run, err
	}
	release, err := p.resolve(ctx, r)
	if err != nil {
		return Run{}, err
	}
	return u.begin(ctx, p, r.Wait, func(ctx context.Context) (Run, error) {
		from, err := u.current(ctx, p)
		if err != nil {
			return Run{}, err
		}
		if err := r.direction(from, release); err != nil {
			return Run{}, err
		}
		run := p.newRun(r, from, release)
		return run, u.check(ctx, p, run)
	})
}

// earlier finds the run of a repeated request to update, or to take a run back.
func (u *Updater) earlier(ctx context.Context, r Request, undoes string) (Run, bool, error) {
	if r.By.RequestID == "" {
		return Run{}, false, nil
	}
	for run, err := range u.config.Journal.History(ctx, Query{Package: r.Package, RequestID: r.By.RequestID}) {
		if err != nil {
			return Run{}, false, err
		}
		return run, true, run.answers(r, undoes)
	}
	return Run{}, false, nil
}

// answers returns nil if the run is what a request asks for that has the
// RequestID of the run's own.
func (r Run) answers(request Request, undoes string) error {
	switch {
	case r.Undoes == undoes && (undoes != "" || r.Request.Version == request.Version):
		return nil
	case r.Undoes != "":
		return fmt.Errorf("%w: RequestID %q was used to roll back run %q", ErrInvalid, request.By.RequestID, r.Undoes)
	}
	return fmt.Errorf("%w: RequestID %q was used for version %q", ErrInvalid, request.By.RequestID, r.Request.Version)
}

// Wait returns the run once it is done, with Run.Err. The run may belong to
// another process. When ctx ends first, or when this process had to give the
// run up, it returns the run so far and the error that says so.
func (u *Updater) Wait(ctx context.Context, id string) (Run, error) {
	for {
		u.mu.Lock()
		r := u.live[id]
		u.mu.Unlock()
		run, err := u.Get(ctx, id)
		if err != nil {
			return run, err
		}
		if r == nil && run.State.Done() {
			return run, run.Err()
		}
		if r == nil {
			if u.door.Shut() {
				return run, ErrClosed
			}
			if err := pause.For(ctx, waitInterval); err != nil {
				return run, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return u.soFar(ctx, run), context.Cause(ctx)
		case <-r.gone:
		}
		if r.failure != nil && !r.lost() {
			return u.soFar(ctx, run), r.failure
		}
	}
}

// soFar returns the run as it is now or, if the journal does not answer, as
// it was. It does not end with ctx.
func (u *Updater) soFar(ctx context.Context, run Run) Run {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if now, err := u.Get(ctx, run.ID); err == nil {
		return now
	}
	return run
}

// Update is Start and Wait.
func (u *Updater) Update(ctx context.Context, r Request) (Run, error) {
	run, err := u.Start(ctx, r)
	if err != nil {
		return run, err
	}
	return u.Wait(ctx, run.ID)
}

// Get returns a run, or ErrNotFound.
func (u *Updater) Get(ctx context.Context, id string) (Run, error) {
	return u.config.Journal.Get(ctx, id)
}

// History yields runs, newest first, and stops after an error. But one that
// cannot be read comes with ErrCorrupt and its ID, Package and Item, and the
// list goes on.
func (u *Updater) History(ctx context.Context, q Query) iter.Seq2[Run, error] {
	return u.config.Journal.History(ctx, q)
}

// Watch yields every event with a Seq greater than after, in order, losing
// none, and waits for more until ctx ends or the caller breaks. A negative
// after starts with the next event. The last pair has an error: ctx's, or
// ErrCompacted when events that follow after are no longer kept, or when the
// event with that Seq is of another history, such as one from before a restore.
// Engines keep events for 30 days and 100,000 of them.
func (u *Updater) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return u.config.Journal.Watch(ctx, after)
}

// Status returns the present of a package.
func (u *Updater) Status(ctx context.Context, pkg string) (Status, error) {
	p, ok := u.packages[pkg]
	if !ok {
		return Status{}, fmt.Errorf("%w: package %q", ErrNotFound, cut(pkg, maxName))
	}
	s := Status{Package: pkg}
	var err error
	if s.Version, err = u.current(ctx, p); err != nil {
		return Status{}, err
	}
	for run, err := range u.config.Journal.History(ctx, Query{Package: pkg, Live: true}) {
		if err != nil {
			return Status{}, err
		}
		s.Run = &run
		break
	}
	held, err := u.Holder(ctx, p.Lock)
	switch {
	case err == nil:
		s.Lease = &held
	case !errors.Is(err, lease.ErrFree):
		return Status{}, err
	}
	return s, nil
}

// Holder returns the live lease on a lock, whoever has it, or lease.ErrFree. It
// asks the Locker and nobody else, so that it can be asked often; Status tells
// more, and also asks what is installed.
func (u *Updater) Holder(ctx context.Context, item string) (lease.Lease, error) {
	return u.config.Locker.Holder(ctx, itemOf(item))
}
