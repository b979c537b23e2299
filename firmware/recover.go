package firmware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// lookInterval is how often Run looks for what there is to do, at most.
const lookInterval = 5 * time.Second

// Run takes up what a restart or a dead process left, confirms a new image by
// Health or goes back, and checks at every Interval, until ctx ends or the
// Service closes; it returns the error that says which. What fails is logged
// and tried again.
func (s *Service) Run(ctx context.Context) error {
	round := func(ctx context.Context) error {
		err := s.round(ctx)
		if errors.Is(err, ErrBusy) || errors.Is(err, ErrUpToDate) {
			return nil
		}
		return err
	}
	return s.door.Repeat(ctx, min(lookInterval, s.config.LockTTL/3), round, func(err error) {
		s.config.Logger.ErrorContext(ctx, "firmware: not done", "device", s.config.Device, "err", err)
	})
}

// round does what there is to do now.
func (s *Service) round(ctx context.Context) error {
	ctx, leave, err := s.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	rec, err := s.load(ctx)
	if err != nil {
		return err
	}
	looked, acts := s.at()
	if acts {
		return nil
	}
	s.untold(ctx, rec)
	if !looked || rec.unsettled() {
		if err := s.takeUp(ctx); err != nil {
			return err
		}
		if rec, err = s.load(ctx); err != nil || rec.unsettled() {
			return err
		}
		if looked, _ := s.at(); !looked {
			return nil // somebody else has the lease
		}
	}
	if s.due(rec, time.Now()) {
		if _, err := s.Check(ctx); err != nil {
			return err
		}
		if rec, err = s.load(ctx); err != nil {
			return err
		}
	}
	return s.automatic(ctx, rec)
}

// at reports whether this process has looked at the slots, and whether it works
// on a run.
func (s *Service) at() (looked, acts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked, s.live != nil || s.restarting != ""
}

// unsettled reports whether there is something to take up before anything new.
func (r Record) unsettled() bool {
	return r.Run != nil && !r.Run.State.Done() || r.Device == DeviceUnavailable
}

// takeUp looks at what runs, and goes on with the live run.
func (s *Service) takeUp(ctx context.Context) error {
	held, err := s.look(ctx)
	if errors.Is(err, ErrBusy) {
		return nil // somebody works on it
	}
	if err != nil {
		return err
	}
	rec, err := s.settled(ctx, held)
	switch {
	case err != nil, rec.Run == nil, rec.Run.State.Done():
		s.release(held)
		return err
	case rec.Run.State == StateTrial:
		s.release(held)
		return s.judgeTrial(ctx, rec)
	}
	return s.goOn(ctx, held, rec)
}

// goOn works, in the background, on a run that a restart or a dead process has
// left. One on trial is left alone.
func (s *Service) goOn(ctx context.Context, held *lease.Held, rec Record) error {
	if rec.Run.State == StateTrial {
		s.release(held)
		return nil
	}
	rec, err := s.amend(ctx, held.Lease().Token, func(rec *Record) ([]Event, error) {
		if rec.Run == nil || rec.Run.State.Done() {
			return nil, record.ErrSame
		}
		message := "left by the process " + rec.Run.Owner
		rec.Run.Owner = held.Lease().Owner
		return []Event{{Kind: EventRecovered, Run: rec.Run.ID, Message: message}}, nil
	})
	if err != nil || rec.Run == nil || rec.Run.State.Done() {
		s.release(held)
		return err
	}
	s.log(slog.LevelInfo, "taken up", *rec.Run)
	s.door.Go(func() { s.work(held, rec, nil) })
	return nil
}

// judgeTrial asks whether the new image is well, and confirms it or goes back.
func (s *Service) judgeTrial(ctx context.Context, rec Record) error {
	pair, err := s.pair(ctx)
	if err != nil {
		return err
	}
	ran, err := s.trialTime(ctx, rec)
	if err != nil {
		return err
	}
	late := ran > s.config.ConfirmWithin || pair.Running.Tries > maxTries
	var failure error
	if s.config.Health != nil && !late {
		asking, done := s.door.Until(ctx)
		asking, cancel := context.WithTimeout(asking, s.config.ConfirmWithin-ran)
		failure = s.config.Health(asking)
		cancel()
		done()
		if ctx.Err() != nil || s.door.Shut() {
			return errClosing
		}
		if failure == nil {
			failure = s.Confirm(ctx, By{Actor: "health"})
		}
		if failure == nil {
			return nil
		}
		failure = errors.Join(failure, s.unwell(ctx, rec.Run.ID, failure.Error()))
	}
	if !late {
		return failure
	}
	reason := fmt.Sprintf("not confirmed within %s", s.config.ConfirmWithin)
	if rec.Run.Reason != "" {
		reason += ": " + rec.Run.Reason
	}
	return s.giveUpTrial(ctx, rec.Run.ID, By{Reason: cut(reason, maxReason)})
}

// unwell records why a new image is not confirmed yet.
func (s *Service) unwell(ctx context.Context, id, why string) error {
	why = cut(why, maxReason)
	_, err := s.amend(ctx, 0, func(rec *Record) ([]Event, error) {
		if rec.Run == nil || rec.Run.ID != id || rec.Run.State != StateTrial || rec.Run.Reason == why {
			return nil, record.ErrSame
		}
		rec.Run.Reason = why
		return []Event{{Kind: EventState, Run: id, Message: why}}, nil
	})
	return err
}

// trial is when a new image was last seen to run.
type trial struct {
	run  string
	seen time.Time
}

// trialTime is how long the new image has run, and keeps that: a program that
// begins anew every few minutes does not begin to count anew.
func (s *Service) trialTime(ctx context.Context, rec Record) (time.Duration, error) {
	now := time.Now()
	s.mu.Lock()
	last := s.trial
	s.mu.Unlock()
	ran := progressOf(rec).Trial
	if last.run == rec.Run.ID {
		ran += now.Sub(last.seen)
		if now.Sub(last.seen) < s.config.ConfirmWithin/20 {
			return ran, nil
		}
	}
	_, err := s.amend(ctx, 0, func(rec *Record) ([]Event, error) {
		if rec.Run == nil || rec.Run.State != StateTrial {
			return nil, record.ErrSame
		}
		p := progressOf(*rec)
		p.Trial = ran
		p.put(rec)
		return nil, nil
	})
	if err == nil {
		s.mu.Lock()
		s.trial = trial{rec.Run.ID, now}
		s.mu.Unlock()
	}
	return ran, err
}

// giveUpTrial goes back from an image that was not confirmed. If there is
// nothing to go back to the image stays, and the run has failed, so that a
// better one can be installed.
func (s *Service) giveUpTrial(ctx context.Context, id string, by By) error {
	held, err := s.hold(ctx)
	if err != nil {
		return err
	}
	rec, err := s.goBack(ctx, held, id, by, causes.Of(ErrUnhealthy))
	if errors.Is(err, ErrTooLate) {
		reason := err.Error()
		if _, err := s.keepRunning(ctx, held); err != nil {
			s.release(held)
			return fmt.Errorf("keeping the image: %w", err)
		}
		rec, err = s.amend(ctx, held.Lease().Token, func(rec *Record) ([]Event, error) {
			if rec.Run == nil || rec.Run.ID != id || rec.Run.State != StateTrial {
				return nil, record.ErrSame
			}
			rec.Run.Reason = by.Reason
			return stays(rec, reason), nil
		})
		s.release(held)
		if err == nil && rec.Run != nil && rec.Run.State.Done() {
			s.tell(*rec.Run)
		}
		return err
	}
	if err != nil {
		s.release(held)
		return err
	}
	s.door.Go(func() { s.work(held, rec, nil) })
	return nil
}

// due reports whether it is time for the next check: at a moment in the second
// half of each Interval that is this device's own, so that a fleet does not
// come at once. A last check in the future is of a clock that has jumped.
func (s *Service) due(rec Record, now time.Time) bool {
	s.mu.Lock()
	later := s.later
	s.mu.Unlock()
	if !rec.Settings.Checks || now.Before(later) {
		return false
	}
	last := rec.Check.Time
	if last.IsZero() || last.After(now) {
		return true
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d", s.config.Device, last.UnixMilli()))
	share := float64(binary.BigEndian.Uint32(h[:])) / (1 << 32)
	interval := s.config.Interval
	if rec.Check.Reason != "" { // ask again sooner, and soonest after a start: the network may come later
		interval = min(interval, time.Hour, max(time.Minute, last.Sub(s.began)))
	}
	return now.Sub(last) >= interval/2+time.Duration(share*float64(interval/2))
}

// automatic starts what the catalog offers, but for what was rolled back. What
// came to nothing, whatever the reason, is tried once an Interval.
func (s *Service) automatic(ctx context.Context, rec Record) error {
	if !s.config.Automatic || !rec.Settings.Checks || s.config.Disabled || s.stillGood(rec) != nil {
		return nil
	}
	r, found := s.newest(rec)
	if !found || !s.offers(rec, r) || slices.Contains(rec.RolledBack, r.Digest) {
		return nil
	}
	if last := rec.Run; last != nil && last.Release.Digest == r.Digest {
		if since := time.Since(last.EndedAt); since >= 0 && since < s.config.Interval {
			return nil
		}
	}
	if rec.Running.Version == "" {
		return fmt.Errorf("%w: the version of the image that runs is not known: set Config.Version", ErrMismatch)
	}
	_, err := s.Start(ctx, Request{Plan: planID(rec.Running, r), By: By{Actor: "automatic"}})
	return err
}
