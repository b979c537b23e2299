package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// Recover finishes or rolls back the runs that dead processes left behind and
// returns. Runs that somebody works on are left alone; runs under different
// locks are recovered at the same time. When ctx ends the work goes on. A
// program that swaps its own binary calls it when it starts.
func (u *Updater) Recover(ctx context.Context) error {
	left, broken := u.left(ctx, func(Run) bool { return true })
	if broken != nil && !errors.Is(broken, ErrCorrupt) {
		return fmt.Errorf("recover: %w", broken)
	}
	var pending []<-chan error
	for len(left) > 0 {
		item := left[0].Item
		var ids []string
		left = slices.DeleteFunc(left, func(run Run) bool {
			if run.Item == item {
				ids = append(ids, run.ID)
			}
			return run.Item == item
		})
		result, err := u.adopt(ctx, item, ids...)
		if err != nil {
			return err
		}
		pending = append(pending, result)
	}
	failures := []error{broken}
	for _, result := range pending {
		select {
		case err := <-result:
			failures = append(failures, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errors.Join(failures...)
}

// left returns the live runs of our packages that select picks and this
// process does not work on, oldest first, beside the ErrCorrupt of those that
// cannot be read.
func (u *Updater) left(ctx context.Context, picks func(Run) bool) (runs []Run, broken error) {
	for run, err := range u.config.Journal.History(ctx, Query{Live: true}) {
		if unread(run, err) {
			if u.packages[run.Package] != nil && picks(run) {
				broken = errors.Join(broken, err)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		u.mu.Lock()
		ours := u.live[run.ID] != nil
		u.mu.Unlock()
		if u.packages[run.Package] != nil && !ours && picks(run) {
			runs = append(runs, run)
		}
	}
	slices.Reverse(runs)
	return runs, broken
}

// unread reports whether the error of a history is about one run, after which
// it goes on.
func unread(run Run, err error) bool { return run.ID != "" && errors.Is(err, ErrCorrupt) }

// adopt takes the lock that runs were left under and works on them in the
// background; if somebody else has the lock, the runs are theirs.
func (u *Updater) adopt(ctx context.Context, item string, ids ...string) (<-chan error, error) {
	result := make(chan error, 1)
	return result, u.background(func() {
		if r, _ := u.working(item); r != nil {
			result <- nil // its step may still act
			return
		}
		var err error
		var taken []*runner
		for _, id := range ids {
			r, e := u.adoptOne(ctx, item, id)
			if r != nil {
				taken = append(taken, r)
			}
			if errors.Is(e, lease.ErrHeld) {
				break
			}
			if e != nil {
				err = errors.Join(err, fmt.Errorf("recover run %q: %w", id, e))
			}
			if errors.Is(e, lease.ErrLost) || errors.Is(e, ErrClosed) {
				break
			}
		}
		result <- err
		u.report(taken...)
	})
}

// adoptOne works on a run that was left, under a lease of its own.
func (u *Updater) adoptOne(ctx context.Context, item, id string) (*runner, error) {
	held, err := u.holdLeft(ctx, item, id)
	if err != nil {
		return nil, err
	}
	return u.workUnder(held, id)
}

// workUnder works on a run that was left, under held, which ends with that.
func (u *Updater) workUnder(held *lease.Held, id string) (*runner, error) {
	r, err := u.takeOver(held, id)
	err = errors.Join(err, u.release(held))
	if r != nil {
		u.forget(r)
	}
	return r, err
}

// takeUpAgain works on the run of r, whose lease was lost, under another one,
// until it is done, gone, or somebody else's: this process may be the only one,
// and somebody in it waits for the run. It may lose that lease too, and the lock
// may be held by somebody, or out of reach, for some time.
func (u *Updater) takeUpAgain(r *runner) {
	ctx, item, id := context.Background(), r.run.Item, r.run.ID
	for {
		result, err := u.adopt(ctx, item, id)
		if err == nil {
			err = <-result
		}
		if errors.Is(err, ErrClosed) {
			return
		}
		run, unknown := u.Get(ctx, id)
		if unknown == nil && (run.State.Done() || nameOf(run.Owner) != nameOf(r.held.Lease().Owner)) {
			return
		}
		if errors.Is(unknown, ErrNotFound) { // somebody has put an older journal back
			u.config.Logger.Error("update: run is gone from the journal", "run", id)
			return
		}
		if err = errors.Join(err, unknown); err != nil {
			u.config.Logger.Warn("update: run not taken up again yet", "run", id, "err", err)
		}
		if u.rest(ctx) != nil {
			return
		}
	}
}

// lookTime bounds how long somebody has a lock who only looks whether a run
// was left under it.
const lookTime = 5 * time.Second

// holdLeft takes the lock that a run was left under. It is lease.ErrHeld if
// somebody works on it.
func (u *Updater) holdLeft(ctx context.Context, item, id string) (*lease.Held, error) {
	held, err := u.hold(ctx, item, false)
	var by *lease.HeldError
	if !errors.As(err, &by) {
		return held, err
	}
	if run, err := u.Get(ctx, id); err != nil || run.State.Done() || run.Owner == by.Owner {
		return nil, by
	}
	ctx, done := u.door.Until(ctx)
	defer done()
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	held, err = u.hold(looking, item, true)
	if err != nil && ctx.Err() == nil && looking.Err() != nil {
		err = by
	}
	return held, err
}

// settleOne finishes or rolls back the oldest run that dead processes left
// under held, or of p under another lock, and returns who did, if that was
// necessary. It ends held.
func (u *Updater) settleOne(p *Package, held *lease.Held) (r *runner, found bool, err error) {
	left, err := u.left(held.Context(), func(run Run) bool { return run.Item == p.Lock || run.Package == p.Name })
	if err != nil || len(left) == 0 {
		return nil, false, err
	}
	if run := left[0]; run.Item == p.Lock {
		r, err = u.workUnder(held, run.ID)
	} else { // the package had another lock when the run began
		r, err = u.adoptOne(held.Context(), run.Item, run.ID)
		err = errors.Join(u.busy(held.Context(), run.Item, err), u.release(held))
	}
	if err != nil {
		err = fmt.Errorf("settle run %q: %w", left[0].ID, err)
	}
	return r, true, err
}

// takeOver works on a run that was left, under held, and returns who did. A
// run that is done has nobody.
func (u *Updater) takeOver(held *lease.Held, id string) (*runner, error) {
	current := held.Lease()
	var gone string
	run, err := u.amend(held.Context(), id, func(run *Run) (Event, error) {
		if run.State.Done() {
			return Event{}, record.ErrSame
		}
		gone = run.Owner
		run.Token, run.Owner = current.Token, current.Owner
		return Event{Kind: EventRecovered, Message: "the process " + gone + " is gone"}, nil
	})
	if err != nil || run.State.Done() {
		return nil, err
	}
	r := u.newRunner(u.packages[run.Package], held, run)
	u.register(r)
	u.log(slog.LevelInfo, "taken up", run, "last_owner", gone)
	r.failure = r.work()
	return r, r.failure
}

// Run recovers now and whenever another process dies, until ctx ends or the
// Updater closes; it returns the error that says which. Recovery that fails is
// logged and tried again.
func (u *Updater) Run(ctx context.Context) error {
	return u.door.Repeat(ctx, u.restTime(), u.Recover, func(err error) {
		u.config.Logger.ErrorContext(ctx, "update: recovery failed", "err", err)
	})
}

// nameOf is the name of an owner, without the suffix that Hold added.
func nameOf(owner string) string {
	if i := strings.LastIndexByte(owner, '#'); i >= 0 {
		return owner[:i]
	}
	return owner
}
