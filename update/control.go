package update

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// Cancel asks the run to stop and to undo what it did. It returns once that is
// recorded; the process that works on the run sees it within a second. It
// returns ErrTooLate after the point of no return, and ErrStale for a run that
// nobody works on while its lock has gone on to another; cancelling a run that
// is done, or on its way back, is not an error.
func (u *Updater) Cancel(ctx context.Context, id string, by By) error {
	by = by.bounded()
	run, err := u.amend(ctx, id, func(run *Run) (Event, error) {
		p := u.packages[run.Package]
		switch {
		case p == nil:
			return Event{}, fmt.Errorf("%w: package %q", ErrNotFound, run.Package)
		case run.State != StateRunning, run.Cancel != nil:
			return Event{}, record.ErrSame
		case p.beyondReturn(*run):
			return Event{}, ErrTooLate
		}
		run.Cancel = &by
		return Event{Kind: EventCancel, Actor: by.Actor, Message: by.Reason}, nil
	})
	if err != nil {
		return fmt.Errorf("cancel run %q: %w", id, err)
	}
	u.tell(run)
	return nil
}

// amend writes to a run that somebody else may be writing to.
func (u *Updater) amend(ctx context.Context, id string, change func(*Run) (Event, error)) (Run, error) {
	run, err := u.written(id).Amend(ctx, nil, func(run *Run) ([]Event, error) {
		e, err := change(run)
		return []Event{e}, err
	})
	if errors.Is(err, ErrStale) {
		err = fmt.Errorf("%w: another run has taken the lock of run %q, on which nobody works", ErrStale, id)
	}
	return run, err
}

// tell makes the work on a run, if it is ours, notice that it was cancelled.
func (u *Updater) tell(run Run) {
	u.mu.Lock()
	r := u.live[run.ID]
	u.mu.Unlock()
	if r != nil {
		r.noticeCancel(run)
	}
}

// Rollback undoes a run that has ended, by a new run of its undo steps, which
// it starts as Start does; Wait for its end. Only what a package went through
// last can be undone, else ErrStale; a run that is not done is ErrBusy, one
// past its point of no return ErrTooLate, and one that left nothing to undo
// ErrInvalid, as is one that succeeded with steps that the package does not
// have any more: what works is not taken back in part. A rollback that failed
// may be asked for again, and one that is asked for again with the RequestID of
// by returns the first run. A RequestID that is too long is ErrInvalid; other
// texts of by are cut.
func (u *Updater) Rollback(ctx context.Context, id string, by By) (Run, error) {
	run, err := u.Get(ctx, id)
	if err != nil {
		return Run{}, err
	}
	p := u.packages[run.Package]
	if p == nil {
		return Run{}, fmt.Errorf("%w: package %q of run %q", ErrNotFound, run.Package, id)
	}
	if err := fits("RequestID", by.RequestID, maxName); err != nil {
		return Run{}, err
	}
	request := Request{Package: run.Package, Version: run.From, By: by.bounded()}
	request.By.RequestID = by.RequestID
	if err := p.gate(ctx, request); err != nil {
		return Run{}, err
	}
	if back, found, err := u.earlier(ctx, request, run.ID); found || err != nil {
		return back, err
	}
	return u.begin(ctx, p, false, func(ctx context.Context) (Run, error) {
		last, err := u.lastEffect(ctx, run)
		if err != nil {
			return Run{}, err
		}
		undoable, gone := p.effects(last)
		switch {
		case p.beyondReturn(last):
			return Run{}, fmt.Errorf("roll back run %q: %w", id, ErrTooLate)
		case last.State == StateSucceeded && len(gone) > 0:
			return Run{}, fmt.Errorf("%w: run %q cannot be taken back: %w", ErrInvalid, id, goneError(gone))
		case len(undoable) == 0:
			return Run{}, fmt.Errorf("%w: no step of run %q can be undone", ErrInvalid, id)
		}
		steps := last.Clone().Steps
		for i := range steps {
			steps[i].Error = "" // that of the other run
		}
		return Run{
			ID: strings.ToLower(rand.Text()), Package: p.Name, Item: p.Lock, From: run.Version, Version: run.From,
			Release: run.Release, State: StateRollingBack, Steps: steps, Reason: request.By.Reason,
			Request: request, Undoes: run.ID,
		}, nil
	})
}

// lastEffect returns the record of what is to be undone to take run back: its
// own, or that of an earlier rollback of it that failed.
func (u *Updater) lastEffect(ctx context.Context, run Run) (Run, error) {
	if run.Undoes != "" || run.State == StateRolledBack || run.State == StateCancelled {
		return Run{}, fmt.Errorf("%w: run %q left nothing to undo", ErrInvalid, run.ID)
	}
	for last, err := range u.config.Journal.History(ctx, Query{Package: run.Package}) {
		switch {
		case err != nil:
			return Run{}, err
		case !last.State.Done():
			return Run{}, fmt.Errorf("%w: run %q", ErrBusy, last.ID)
		case last.ID == run.ID, last.Undoes == run.ID && last.State == StateFailed:
			return last, nil
		case last.State == StateSucceeded, last.State == StateFailed:
			return Run{}, fmt.Errorf("%w: run %q came after run %q", ErrStale, last.ID, run.ID)
		}
	}
	return Run{}, fmt.Errorf("%w: run %q", ErrNotFound, run.ID)
}

// Break ends the lease on a lock if it still has this token, else it
// returns ErrStale. It is for people: the run that holds the lock is cancelled
// too, unless it is past its point of no return; its process notices within a
// second; and what that process writes later is refused once somebody else has
// written. Who takes the run up then brings it to its end.
func (u *Updater) Break(ctx context.Context, item string, token int64, by By) error {
	by = by.bounded()
	held, err := u.config.Locker.Holder(ctx, itemOf(item))
	switch {
	case errors.Is(err, lease.ErrFree), err == nil && held.Token != token:
		return fmt.Errorf("%w: no live lease on %q has token %d", ErrStale, item, token)
	case err != nil:
		return err
	}
	if err := u.config.Locker.Release(ctx, held); err != nil {
		return fmt.Errorf("break the lock on %q: %w", item, err)
	}
	u.config.Logger.WarnContext(ctx, "update: lock broken", "item", item, "owner", held.Owner, "token", token,
		"actor", by.Actor, "reason", by.Reason)
	for run, err := range u.config.Journal.History(ctx, Query{Live: true}) {
		if err != nil && !(unread(run, err) && run.Item != item) {
			return err
		}
		if run.Item != item || u.packages[run.Package] == nil {
			continue
		}
		run, err := u.amend(ctx, run.ID, func(run *Run) (Event, error) {
			if run.State.Done() || run.Token != token {
				return Event{}, record.ErrSame // it has ended, or somebody took it up
			}
			if run.State == StateRunning && !u.packages[run.Package].beyondReturn(*run) {
				run.Cancel = &by
			}
			return Event{Kind: EventBroken, Actor: by.Actor, Message: by.Reason}, nil
		})
		if err != nil {
			return fmt.Errorf("cancel run %q: %w", run.ID, err)
		}
		u.tell(run)
	}
	return nil
}
