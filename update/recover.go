package update

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Recover finishes or rolls back the runs that dead processes left behind and
// returns. Runs that somebody works on are left alone. A program that swaps
// its own binary calls it when it starts.
func (u *Updater) Recover(ctx context.Context) error {
	left, err := u.left(ctx, func(Run) bool { return true })
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	var failures []error
	for _, run := range left {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := u.adopt(ctx, u.packages[run.Package], run.ID)
		if errors.Is(err, ErrClosed) {
			return err
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("recover run %q: %w", run.ID, err))
		}
	}
	return errors.Join(failures...)
}

// left returns the live runs of our packages that select picks and this
// process does not work on, oldest first.
func (u *Updater) left(ctx context.Context, picks func(Run) bool) ([]Run, error) {
	var runs []Run
	for run, err := range u.config.Journal.History(ctx, Query{Live: true}) {
		if err != nil {
			return nil, err
		}
		u.mu.Lock()
		ours := u.live[run.ID] != nil
		u.mu.Unlock()
		if u.packages[run.Package] != nil && !ours && picks(run) {
			runs = append([]Run{run}, runs...)
		}
	}
	return runs, nil
}

// adopt takes the lock and works on a run that is left; if somebody else has
// the lock, the run is theirs. The work goes on when ctx ends.
func (u *Updater) adopt(ctx context.Context, p *Package, id string) error {
	result := make(chan error, 1)
	err := u.background(func() {
		held, err := Hold(ctx, u.config.Locker, p.Lock, HoldConfig{Owner: u.config.Owner, TTL: u.config.LockTTL})
		if errors.Is(err, ErrHeld) {
			err = nil
			result <- err
			return
		}
		var ended []Run
		if err == nil {
			ended, err = u.takeOver(p, held, id)
			err = errors.Join(err, held.Release())
		}
		result <- err
		u.report(ended...)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle finishes or rolls back what dead processes left under a lock, and
// returns the runs that it ended.
func (u *Updater) settle(item string, held *Held) (settled []Run, err error) {
	left, err := u.left(held.Context(), func(run Run) bool { return u.packages[run.Package].Lock == item })
	if err != nil {
		return nil, err
	}
	for _, run := range left {
		ended, err := u.takeOver(u.packages[run.Package], held, run.ID)
		settled = append(settled, ended...)
		if err != nil {
			return settled, fmt.Errorf("settle run %q: %w", run.ID, err)
		}
	}
	return settled, nil
}

// takeOver works on a run that is left, under held, and returns it if it has
// brought it to its end.
func (u *Updater) takeOver(p *Package, held *Held, id string) (ended []Run, err error) {
	lease := held.Lease()
	run, err := u.amend(held.Context(), id, func(run *Run) (Event, error) {
		if run.State.Done() {
			return Event{}, nil
		}
		gone := run.Owner
		run.Item, run.Token, run.Owner = lease.Item, lease.Token, lease.Owner
		return Event{Kind: EventRecovered, Message: "the process " + gone + " is gone"}, nil
	})
	if err != nil || run.State.Done() {
		return nil, err
	}
	r := u.newRunner(p, held, run)
	u.register(r)
	err = r.work()
	run = u.forget(r, err)
	if err != nil {
		return nil, err
	}
	return []Run{run}, nil
}

// Run recovers now and whenever another process dies, until ctx ends or the
// Updater closes; it returns the error that says which. Recovery that fails is
// logged and tried again.
func (u *Updater) Run(ctx context.Context) error {
	for {
		err := u.Recover(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if errors.Is(err, ErrClosed) {
			return ErrClosed
		}
		if err != nil {
			u.config.Logger.ErrorContext(ctx, "update: recovery failed", "err", err)
		}
		timer := time.NewTimer(min(5*time.Second, u.config.LockTTL/3))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-u.stopping:
			timer.Stop()
			return ErrClosed
		case <-timer.C:
		}
	}
}
