package firmware

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// Confirm keeps the image that is on trial, raises the rollback floor to its
// epoch, and lets its run succeed. It returns nil only if Slots says so
// afterwards. Confirming again is not an error.
func (s *Service) Confirm(ctx context.Context, by By) error {
	ctx, leave, err := s.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	held, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer s.release(held)
	rec, err := s.settled(ctx, held)
	if err != nil {
		return err
	}
	return s.confirm(ctx, held, rec, by.bounded())
}

func (s *Service) confirm(ctx context.Context, held *lease.Held, rec Record, by By) error {
	if rec.Run != nil && !rec.Run.State.Done() && rec.Run.State != StateTrial {
		return busy(*rec.Run)
	}
	pair, err := s.keepRunning(ctx, held)
	if err != nil {
		return fmt.Errorf("confirming the image: %w", err)
	}
	quiet, done := quiet(ctx)
	defer done()
	ends := false
	rec, err = s.amend(quiet, held.Lease().Token, func(rec *Record) ([]Event, error) {
		ends = rec.Run != nil && rec.Run.State == StateTrial
		if floor := max(rec.Floor, pair.Running.Epoch); !ends && floor == rec.Floor {
			return nil, record.ErrSame
		} else if !ends {
			rec.Floor = floor
			return nil, nil
		}
		events := succeeds(rec)
		events[0].Actor = by.Actor
		return events, nil
	})
	if err == nil && ends {
		s.tellFreed(held, *rec.Run)
	}
	return err
}

// Rollback goes back to the image before that of a run, restarts the device,
// and returns the run that goes back: the run itself if it is on trial; a new
// one, whose Undoes it is, if it was the last to succeed; else ErrStale. It
// returns ErrTooLate, and changes nothing, unless the other slot is whole and
// not below the floor. It asks neither Window nor Gate: who goes back does so now.
func (s *Service) Rollback(ctx context.Context, id string, by By) (Run, error) {
	if err := fits("RequestID", by.RequestID, maxName); err != nil {
		return Run{}, err
	}
	request := by.bounded()
	request.RequestID = by.RequestID
	if run, found, err := s.earlier(ctx, request); found || err != nil {
		return run, err
	}
	if _, err := s.Get(ctx, id); err != nil {
		return Run{}, err
	}
	ctx, leave, err := s.door.Enter(ctx)
	if err != nil {
		return Run{}, err
	}
	defer leave()
	held, err := s.hold(ctx)
	if err != nil {
		return Run{}, err
	}
	handed := false
	defer func() { // also when the engine panics
		if !handed {
			s.release(held)
		}
	}()
	rec, err := s.goBack(ctx, held, id, request, "")
	if err != nil {
		return Run{}, err
	}
	run := rec.Run.Clone()
	handed = true
	s.door.Go(func() { s.work(held, rec, nil) })
	return run, nil
}

// undoable returns the run that brought the image that runs: the last, or the
// last that has succeeded if what followed came to nothing before the slot.
func (s *Service) undoable(ctx context.Context, rec Record, pair Pair, id string) (Run, error) {
	switch {
	case rec.Run != nil && rec.Run.ID == id:
		return *rec.Run, nil
	case rec.Run == nil || !rec.Run.State.Done() || pair.Running.Run != id:
		return Run{}, fmt.Errorf("%w: run %q is not the last", ErrStale, id)
	}
	return s.Get(ctx, id)
}

// goBack records that a run goes back: in the name of somebody, or for a cause.
func (s *Service) goBack(ctx context.Context, held *lease.Held, id string, by By, cause string) (Record, error) {
	rec, err := s.settled(ctx, held)
	if err != nil {
		return rec, err
	}
	pair, err := s.pair(ctx)
	if err != nil {
		return rec, err
	}
	other := pair.Other
	target, err := s.undoable(ctx, rec, pair, id)
	switch {
	case err != nil:
		return rec, err
	case cause != "" && rec.Run.State != StateTrial:
		return rec, fmt.Errorf("%w: run %q is %s", ErrStale, id, rec.Run.State)
	case !other.Whole:
		return rec, fmt.Errorf("%w: the other slot has no image that could be started", ErrTooLate)
	case other.Epoch < rec.Floor:
		return rec, fmt.Errorf("%w: the other slot has epoch %d, at least %d is needed", ErrTooLate, other.Epoch, rec.Floor)
	}
	before := rec.Run.ID
	return s.amend(ctx, held.Lease().Token, func(rec *Record) ([]Event, error) {
		now := progressOf(*rec)
		p := progress{Phase: phaseBack, Adopted: now.Adopted, Untold: now.Untold}
		last := rec.Run
		switch {
		case last.ID != before:
			return nil, fmt.Errorf("%w: run %q is not the last", ErrStale, id)
		case cause != "" && last.State != StateTrial:
			return nil, fmt.Errorf("%w: run %q is %s", ErrStale, id, last.State)
		case !last.State.Done() && (last.State != StateTrial || last.ID != id):
			return nil, busy(*last)
		case last.ID == id && last.State == StateTrial:
			last.State, last.Reason, last.Cause = StateRollingBack, cut(by.String(), maxReason), cause
		case target.State == StateSucceeded:
			p = progress{Phase: phaseBack}.follows(*rec)
			rec.leaveAlone(rec.Running.Digest)
			rec.Run = &Run{
				ID: strings.ToLower(rand.Text()), From: rec.Running.Version, Version: other.Version, State: StateRollingBack,
				Release: Release{Version: other.Version, Epoch: other.Epoch, Digest: other.Digest},
				Request: Request{Version: other.Version, By: by}, Reason: cut(by.String(), maxReason), Undoes: id,
			}
		default:
			return nil, fmt.Errorf("%w: run %q is %s", ErrStale, id, target.State)
		}
		rec.Run.Owner = held.Lease().Owner
		p.put(rec)
		kind := EventState
		if rec.Run.Undoes != "" {
			kind = EventStarted
		}
		return []Event{{Kind: kind, Run: rec.Run.ID, Actor: by.Actor, Message: rec.Run.Reason}}, nil
	})
}
