package update

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lease"
)

// lockSettled takes the lock of p once nothing is left under it of dead
// processes, and returns who brought that to its end. Each end of a run is the
// end of a lease.
func (u *Updater) lockSettled(ctx context.Context, p *Package, wait bool) (*lease.Held, []*runner, error) {
	var settled []*runner
	for {
		held, err := u.lock(ctx, p, wait)
		if err != nil {
			return nil, settled, err
		}
		r, found, err := u.settleOne(p, held)
		if r != nil {
			settled = append(settled, r)
		}
		if err != nil {
			return nil, settled, errors.Join(err, u.release(held))
		}
		if !found {
			return held, settled, nil
		}
	}
}

// lock takes the lock of p. A run of this process that goes on is in the way
// even when its lock was broken, since its step may not have noticed yet; one
// that has ended is about to release it, which is waited for.
func (u *Updater) lock(ctx context.Context, p *Package, wait bool) (*lease.Held, error) {
	ctx, done := u.door.Until(ctx)
	defer done()
	for {
		r, ending := u.working(p.Lock)
		switch {
		case r != nil && (wait || ending):
			select {
			case <-r.gone:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			continue
		case r != nil:
			held := r.held.Lease()
			run := r.snapshot()
			return nil, &busyError{&lease.HeldError{Item: held.Item, Owner: held.Owner, Until: held.ExpiresAt}, p.Lock, &run}
		}
		held, err := u.takeSoon(ctx, p.Lock, wait)
		var left *leftError
		if !wait || !errors.As(err, &left) {
			return held, u.busy(ctx, p.Lock, err)
		}
		if err := u.awaitReturn(ctx, left); err != nil {
			return nil, err
		}
	}
}

// working returns who works under a lock in this process, or nil, and whether
// that is about to end.
func (u *Updater) working(item string) (*runner, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.live {
		r.mu.Lock()
		ours, ending := r.run.Item == item, r.ends
		r.mu.Unlock()
		if ours {
			return r, ending
		}
	}
	return nil, false
}

// leftError is the lease.ErrHeld of a run that another program has under the
// lock and may come back to.
type leftError struct {
	*lease.HeldError
	run  Run
	time time.Duration // that it has for it
}

func (e *leftError) Unwrap() error { return e.HeldError }

// take takes the lock, unless another program has a run under it that it may
// come back to. After its last word it has as long for that as its lock would
// last: a program that restarts in the middle of its update stays the only one.
func (u *Updater) take(ctx context.Context, item string, wait bool) (*lease.Held, error) {
	held, err := u.hold(ctx, item, wait)
	if err != nil {
		return nil, err
	}
	now := held.Lease().ExpiresAt.Add(-u.config.LockTTL) // by the engine's clock, as UpdatedAt
	for run, err := range u.config.Journal.History(held.Context(), Query{Live: true}) {
		if unread(run, err) && run.Item != item {
			continue
		}
		until := run.UpdatedAt.Add(u.config.LockTTL)
		if err == nil && run.Item == item && u.packages[run.Package] == nil && until.After(now) {
			err = &leftError{&lease.HeldError{Item: itemOf(item), Owner: run.Owner, Until: until}, run, until.Sub(now)}
		}
		if err != nil {
			return nil, errors.Join(err, u.release(held))
		}
	}
	return held, nil
}

// takeSoon is take that waits for somebody who has the lock without a run: who
// looks whether there is something to do, checks before a run, or is about to
// let go. One that has it for more than lookTime counts as one that works.
func (u *Updater) takeSoon(ctx context.Context, item string, wait bool) (*lease.Held, error) {
	var owner string
	var since time.Time
	for {
		held, err := u.take(ctx, item, wait)
		var by *lease.HeldError
		if wait || !errors.As(err, &by) {
			return held, err
		}
		if by.Owner != owner {
			owner, since = by.Owner, time.Now()
		}
		if time.Since(since) >= lookTime {
			return nil, err
		}
		if run, e := u.runUnder(ctx, item, by.Owner); run != nil || e != nil {
			return nil, errors.Join(err, e)
		}
		short, cancel := context.WithTimeout(ctx, waitInterval)
		held, err = u.take(short, item, true)
		again := err != nil && short.Err() != nil && ctx.Err() == nil
		cancel()
		if !again {
			return held, err
		}
	}
}

// runUnder returns the run that the owner of a lease has under a lock, or nil.
func (u *Updater) runUnder(ctx context.Context, lock, owner string) (*Run, error) {
	for run, err := range u.config.Journal.History(ctx, Query{Live: true}) {
		if unread(run, err) && run.Item != lock {
			continue
		}
		if err != nil {
			return nil, err
		}
		if run.Item == lock && run.Owner == owner {
			return &run, nil
		}
	}
	return nil, nil
}

// awaitReturn waits until somebody has come back to the run, or its time is
// over. The lock is free meanwhile.
func (u *Updater) awaitReturn(ctx context.Context, left *leftError) error {
	for start := time.Now(); time.Since(start) < left.time; {
		if err := pause.For(ctx, waitInterval); err != nil {
			return err
		}
		run, err := u.Get(ctx, left.run.ID)
		if err != nil || run.Rev != left.run.Rev {
			return err
		}
	}
	return nil
}

func (u *Updater) hold(ctx context.Context, item string, wait bool) (*lease.Held, error) {
	return lease.Hold(ctx, u.config.Locker, itemOf(item), lease.HoldConfig{
		Owner: u.config.Owner, TTL: u.config.LockTTL, Wait: wait, Line: &u.line,
	})
}

// busyError is the ErrBusy that names the run which is in the way, if one is.
type busyError struct {
	*lease.HeldError
	lock string
	run  *Run
}

func (e *busyError) Error() string {
	until := e.Until.UTC().Format(time.RFC3339)
	if e.run == nil {
		return fmt.Sprintf("%v: %q has the lock %q until %s", ErrBusy, e.Owner, e.lock, until)
	}
	return fmt.Sprintf("%v: run %q of package %q has the lock %q until %s", ErrBusy, e.run.ID, e.run.Package, e.lock, until)
}

// Unwrap makes it an ErrBusy, and a *lease.HeldError.
func (e *busyError) Unwrap() []error { return []error{ErrBusy, e.HeldError} }

// busy makes an ErrHeld an ErrBusy, and looks which run has the lock.
func (u *Updater) busy(ctx context.Context, lock string, err error) error {
	var by *lease.HeldError
	var left *leftError
	switch {
	case errors.As(err, &left):
		return &busyError{left.HeldError, lock, &left.run}
	case errors.As(err, &by):
		run, _ := u.runUnder(ctx, lock, by.Owner) // without one its owner is named
		return &busyError{by, lock, run}
	}
	return err
}
