package firmware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// lookInterval is how often Run looks for what there is to do, at most.
const lookInterval = 5 * time.Second

// Run takes up what a restart or a dead process left, confirms a new image by
// Health or goes back, and checks at every Interval, until ctx ends or the
// Service closes; it returns the error that says which. What fails is logged
// and tried again.
func (s *Service) Run(ctx context.Context) error {
	last := ""
	for {
		err := s.round(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if errors.Is(err, ErrClosed) || s.door.Shut() {
			return ErrClosed
		}
		text := ""
		if err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrUpToDate) {
			text = err.Error()
		}
		if text != "" && text != last {
			s.config.Logger.ErrorContext(ctx, "firmware: not done", "device", s.config.Device, "err", err)
		}
		last = text
		if err := s.rest(ctx); err != nil {
			return err
		}
	}
}

func (s *Service) rest(ctx context.Context) error {
	ctx, done := s.untilShut(ctx)
	defer done()
	return pause.For(ctx, min(lookInterval, s.config.LockTTL/3))
}

// round does what there is to do now.
func (s *Service) round(ctx context.Context) error {
	rec, err := s.load(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	looked, acts := s.looked, s.live != nil || s.restarting != ""
	s.mu.Unlock()
	if acts {
		return nil
	}
	if live := rec.Run != nil && !rec.Run.State.Done(); !looked || live || rec.Device == DeviceUnavailable {
		return s.takeUp(ctx)
	}
	if rec.Run != nil && !progressOf(rec).Told {
		s.tell(*rec.Run)
	}
	if !s.due(rec, time.Now()) {
		return nil
	}
	if _, err := s.Check(ctx); err != nil {
		return err
	}
	return s.automatic(ctx)
}

// takeUp looks at what runs, and goes on with the live run.
func (s *Service) takeUp(ctx context.Context) error {
	entered, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	held, err := s.hold(entered)
	if errors.Is(err, ErrBusy) {
		return nil // somebody works on it
	}
	if err != nil {
		return err
	}
	rec, err := s.settled(entered, held)
	switch {
	case err != nil, rec.Run == nil, rec.Run.State.Done():
		s.release(held)
		return err
	case rec.Run.State == StateTrial:
		s.release(held)
		return s.judgeTrial(entered, rec)
	}
	rec, err = s.amend(entered, held.Lease().Token, func(rec *Record) ([]Event, error) {
		if rec.Run == nil || rec.Run.State.Done() {
			return nil, errSame
		}
		message := "the process " + rec.Run.Owner + " is gone"
		rec.Run.Owner = held.Lease().Owner
		return []Event{{Kind: EventRecovered, Run: rec.Run.ID, Message: message}}, nil
	})
	if err != nil || rec.Run == nil || rec.Run.State.Done() {
		s.release(held)
		return err
	}
	s.door.Go(func() { s.work(held, rec, nil) })
	return nil
}

// judgeTrial asks whether the new image is well, and confirms it or goes back.
func (s *Service) judgeTrial(ctx context.Context, rec Record) error {
	id := rec.Run.ID
	pair, err := s.pair(ctx)
	if err != nil {
		return err
	}
	late := time.Since(s.began) > s.config.ConfirmWithin || pair.Running.Tries > maxTries
	var failure error
	if s.config.Health != nil && pair.Running.Tries <= maxTries {
		asking, done := context.WithTimeout(ctx, s.config.ConfirmWithin)
		failure = s.config.Health(asking)
		done()
		if failure == nil {
			return s.Confirm(ctx, By{Actor: "health"})
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if !late {
		return failure
	}
	reason := fmt.Sprintf("not confirmed within %s", s.config.ConfirmWithin)
	if failure != nil {
		reason += ": " + failure.Error()
	}
	held, err := s.hold(ctx)
	if err != nil {
		return err
	}
	rec, err = s.goBack(ctx, held, id, By{Reason: cut(reason, maxReason)}, causeOf(ErrUnhealthy))
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
	if !rec.Settings.Checks {
		return false
	}
	last := rec.Check.Time
	if last.IsZero() || last.After(now) {
		return true
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d", s.config.Device, last.UnixMilli()))
	share := float64(binary.BigEndian.Uint32(h[:])) / (1 << 32)
	interval := s.config.Interval
	if rec.Check.Reason != "" { // ask again sooner, as often as it fails
		interval = min(interval, time.Hour)
	}
	return now.Sub(last) >= interval/2+time.Duration(share*float64(interval/2))
}

// automatic starts what the catalog offers, but for what was rolled back.
func (s *Service) automatic(ctx context.Context) error {
	if !s.config.Automatic || s.config.Disabled {
		return nil
	}
	rec, err := s.load(ctx)
	if err != nil {
		return err
	}
	r, found := s.newest(rec)
	if !found || !s.offers(rec, r) {
		return nil
	}
	_, err = s.Start(ctx, Request{Plan: planID(rec.Running, r), By: By{Actor: "automatic"}})
	return err
}
