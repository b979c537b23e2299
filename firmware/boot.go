package firmware

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/lease"
)

// maxTries is how often an image may start without being confirmed.
const maxTries = 3

// pair asks Slots what they hold, and the application for its version.
func (s *Service) pair(ctx context.Context) (Pair, error) {
	pair, err := s.config.Slots.Pair(ctx)
	if err == nil && s.config.Version != nil {
		pair.Running.Version, err = s.config.Version(ctx)
	}
	if err != nil {
		return pair, fmt.Errorf("%w: what runs: %w", ErrUnavailable, err)
	}
	return pair, nil
}

// settled looks, under the lease, at what runs, and brings the record to what
// that means: of a run that waited for a restart, that it is on trial, or has
// fallen back. The device shows that it looks when this process does so first.
func (s *Service) settled(ctx context.Context, held *lease.Held) (Record, error) {
	token := held.Lease().Token
	s.mu.Lock()
	first := !s.looked
	s.mu.Unlock()
	if first {
		if _, err := s.amend(ctx, token, func(rec *Record) ([]Event, error) {
			rec.Device = DeviceCheckingLocal
			return []Event{{Kind: EventState}}, nil
		}); err != nil {
			return Record{}, err
		}
	}
	pair, failure := s.pair(ctx)
	if failure != nil && ctx.Err() != nil {
		failure = context.Cause(ctx)
	}
	if failure == nil {
		failure = s.disarm(ctx, pair)
	}
	var ended *Run
	rec, err := s.amend(context.WithoutCancel(ctx), token, func(rec *Record) ([]Event, error) {
		ended = nil
		before := rec.Clone()
		if failure != nil {
			rec.Device, rec.Info = DeviceUnavailable, cut(failure.Error(), maxReason)
			if rec.Device == before.Device && rec.Info == before.Info {
				return nil, errSame
			}
			return []Event{{Kind: EventState, Message: rec.Info}}, nil
		}
		rec.Running = pair.Running
		rec.Running.Run, rec.Running.Tries = "", 0
		if rec.Device == DeviceCheckingLocal || rec.Device == DeviceCheckingOnline || rec.Device == DeviceUnavailable {
			rec.Device, rec.Info = atRest(*rec)
		}
		events := s.judge(rec, pair)
		if rec.Run != nil && rec.Run.State.Done() && (before.Run == nil || !before.Run.State.Done()) {
			ended = clone(rec.Run)
		}
		if len(events) == 0 && sameRecord(*rec, before) {
			return nil, errSame
		}
		if rec.Device != before.Device && len(events) == 0 {
			events = []Event{{Kind: EventState}}
		}
		return events, nil
	})
	if err == nil {
		err = failure
	}
	if err == nil {
		s.mu.Lock()
		s.looked = true
		s.mu.Unlock()
		if ended != nil {
			s.tell(*ended)
		}
	}
	return rec, err
}

// disarm takes back what makes the next start try an image, if the boot loader
// has not tried it when it should have: it could still do so when the run is
// long forgotten.
func (s *Service) disarm(ctx context.Context, pair Pair) error {
	rec, err := s.load(ctx)
	if err != nil || !neverStarted(rec, pair) {
		return err
	}
	return s.config.Slots.Confirm(ctx)
}

// neverStarted reports whether the device has restarted, and not with the image
// that it was to try.
func neverStarted(rec Record, pair Pair) bool {
	if rec.Run == nil || rec.Run.State.Done() {
		return false
	}
	p := progressOf(rec)
	return p.Phase == phaseRestart && p.Restarted && pair.Running.Run != rec.Run.ID && pair.Other.Tries == 0
}

// atRest is the state of a device on which nothing acts.
func atRest(rec Record) (DeviceState, string) {
	if rec.Run != nil && rec.Run.State == StateFailed && progressOf(rec).Phase != phaseReceive {
		return DeviceFailed, rec.Run.Reason
	}
	return DeviceIdle, ""
}

// judge says what it means for the live run that these images are there.
func (s *Service) judge(rec *Record, pair Pair) []Event {
	if rec.Run == nil || rec.Run.State.Done() {
		return nil
	}
	p := progressOf(*rec)
	ours := pair.Running.Run == rec.Run.ID
	switch {
	case p.Phase == phaseBack && rec.Run.Undoes != "":
		if pair.Running.Digest == rec.Run.Release.Digest {
			return ends(rec, StateRolledBack, DeviceIdle, rec.Run.Reason, "")
		}
	case p.Phase == phaseBack && !ours:
		return s.fellBack(rec, rec.Run.Reason, rec.Run.Cause)
	case ours && pair.Confirmed && p.activated() && p.Phase != phaseBack:
		return s.succeeds(rec, pair)
	case p.Phase == phaseRestart && ours:
		p.Phase, p.Asked, p.Restarted = phaseTrial, 0, false
		p.put(rec)
		rec.Run.State, rec.Run.Reason, rec.Device, rec.Info = StateTrial, "", DeviceIdle, "confirm"
		return []Event{{Kind: EventState, Run: rec.Run.ID, Message: "the new image runs"}}
	case p.Phase == phaseRestart && pair.Other.Run == rec.Run.ID && pair.Other.Tries > 0,
		p.Phase == phaseTrial && !ours:
		return s.fellBack(rec, "the new image was started and did not stay", "unhealthy")
	case neverStarted(*rec, pair):
		return s.fellBack(rec, "the boot loader did not start the new image", "unhealthy")
	}
	return nil
}

// fellBack ends a run whose image does not run any more, and remembers that. It
// has failed, unless somebody wanted it so.
func (s *Service) fellBack(rec *Record, reason, cause string) []Event {
	rec.leaveAlone(rec.Run.Release.Digest)
	device := DeviceFailed
	if cause == "" {
		device = DeviceIdle
	}
	return ends(rec, StateRolledBack, device, reason, cause)
}

// leaveAlone makes Automatic leave an image alone from now on.
func (r *Record) leaveAlone(image [32]byte) {
	r.RolledBack = append(slices.DeleteFunc(r.RolledBack, func(d [32]byte) bool { return d == image }), image)
	if extra := len(r.RolledBack) - 16; extra > 0 {
		r.RolledBack = r.RolledBack[extra:]
	}
}

// succeeds ends a run whose image is confirmed.
func (s *Service) succeeds(rec *Record, pair Pair) []Event {
	rec.Floor = max(rec.Floor, rec.Run.Release.Epoch)
	rec.RolledBack = slices.DeleteFunc(rec.RolledBack, func(d [32]byte) bool { return d == rec.Run.Release.Digest })
	return ends(rec, StateSucceeded, DeviceIdle, "", "")
}

// install activates the slot.
func (r *runner) install() error {
	if err := r.pass(StepInstall); err != nil {
		return err
	}
	if err := r.turn(StateRunning, DeviceUploading, "install"); err != nil {
		return err
	}
	if err := r.forward(); err != nil {
		return err
	}
	r.setPhase(phaseRestart) // from now on the next start may be of the new image
	if err := r.turn(StateRestarting, DeviceUploading, "install"); err != nil {
		r.setPhase(phaseInstall)
		return err
	}
	return nil
}

// restart makes the next start try the new image, and asks for that start.
func (r *runner) restart() error {
	if err := r.held.Confirm(); err != nil {
		return err
	}
	run := *r.rec.Run
	if err := r.s.config.Slots.Activate(r.ahead, run.Release, run.ID); err != nil {
		if errors.Is(err, ErrTooLate) || context.Cause(r.ahead) != nil {
			return err
		}
		r.setPhase(phaseInstall) // it is as before: the run has failed
		return fmt.Errorf("activating the slot: %w", err)
	}
	if err := r.pass(StepRestart); err != nil {
		return err
	}
	return r.reboot(StateRestarting)
}

// reboot asks for the restart, until it can be asked for.
func (r *runner) reboot(state State) error {
	for try := 0; ; try++ {
		r.now.Asked++
		if err := r.turn(state, DeviceRestarting, r.rec.Run.Reason); err != nil {
			return err
		}
		err := r.s.config.Reboot(r.ahead)
		if err == nil {
			r.now.Restarted = true
			if err := r.step(func(*Record) []Event { return nil }); err != nil {
				return err
			}
			return ErrRestarting
		}
		if err := r.again(try, fmt.Errorf("restarting: %w", err)); err != nil {
			return err
		}
	}
}

// back makes the next start one of the old image, and asks for that start.
func (r *runner) back() error {
	if r.now.Restarted {
		r.now.Restarted = false
		return r.end(StateFailed, DeviceFailed, "the boot loader did not start the old image: "+r.rec.Run.Reason, "unhealthy")
	}
	if err := r.held.Confirm(); err != nil {
		return err
	}
	if err := r.s.config.Slots.Revert(r.ahead); err != nil {
		if errors.Is(err, ErrTooLate) {
			return r.end(StateFailed, DeviceFailed, "there is no image to go back to: "+r.rec.Run.Reason, "unhealthy")
		}
		return err
	}
	return r.reboot(StateRollingBack)
}

// Confirm keeps the image that is on trial, raises the rollback floor to its
// epoch, and lets its run succeed. It returns nil only if Slots says so
// afterwards. Confirming again is not an error.
func (s *Service) Confirm(ctx context.Context, by By) error {
	ctx, leave, err := s.enter(ctx)
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
	if err := held.Confirm(); err != nil {
		return err
	}
	if err := s.config.Slots.Confirm(ctx); err != nil {
		return fmt.Errorf("confirming the image: %w", err)
	}
	pair, err := s.pair(ctx)
	if err != nil {
		return err
	}
	if !pair.Confirmed {
		return fmt.Errorf("%w: the slots say that the image is not confirmed", ErrUnavailable)
	}
	var ended *Run
	_, err = s.amend(context.WithoutCancel(ctx), held.Lease().Token, func(rec *Record) ([]Event, error) {
		if rec.Run == nil || rec.Run.State != StateTrial {
			return nil, errSame
		}
		events := s.succeeds(rec, pair)
		events[0].Actor = by.Actor
		ended = clone(rec.Run)
		return events, nil
	})
	if err == nil && ended != nil {
		s.release(held)
		s.tell(*ended)
	}
	return err
}

// Rollback goes back to the image before that of a run, restarts the device,
// and returns the run that goes back: the run itself if it is on trial; a new
// one, whose Undoes it is, if it was the last to succeed; else ErrStale. It
// returns ErrTooLate, and changes nothing, unless the other slot is whole and
// not below the floor.
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
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return Run{}, err
	}
	defer leave()
	held, err := s.hold(ctx)
	if err != nil {
		return Run{}, err
	}
	rec, err := s.goBack(ctx, held, id, request, "")
	if err != nil {
		s.release(held)
		return Run{}, err
	}
	run := rec.Run.Clone()
	s.door.Go(func() { s.work(held, rec, nil) })
	return run, nil
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
	switch {
	case rec.Run == nil || rec.Run.ID != id:
		return rec, fmt.Errorf("%w: run %q is not the last", ErrStale, id)
	case !other.Whole:
		return rec, fmt.Errorf("%w: the other slot has no image that could be started", ErrTooLate)
	case other.Epoch < rec.Floor:
		return rec, fmt.Errorf("%w: the other slot has epoch %d, at least %d is needed", ErrTooLate, other.Epoch, rec.Floor)
	}
	return s.amend(ctx, held.Lease().Token, func(rec *Record) ([]Event, error) {
		switch run := rec.Run; {
		case run.ID != id:
			return nil, fmt.Errorf("%w: run %q is not the last", ErrStale, id)
		case run.State == StateTrial:
			run.State, run.Reason, run.Cause = StateRollingBack, cut(by.String(), maxReason), cause
		case run.State == StateSucceeded:
			rec.leaveAlone(rec.Running.Digest)
			rec.Run = &Run{
				ID: strings.ToLower(rand.Text()), From: rec.Running.Version, Version: other.Version, State: StateRollingBack,
				Release: Release{Version: other.Version, Epoch: other.Epoch, Digest: other.Digest},
				Request: Request{Version: other.Version, By: by}, Reason: cut(by.String(), maxReason), Undoes: id,
			}
		case !run.State.Done():
			return nil, busy(*run)
		default:
			return nil, fmt.Errorf("%w: run %q is %s", ErrStale, id, run.State)
		}
		rec.Run.Owner = held.Lease().Owner
		progress{Phase: phaseBack}.put(rec)
		kind := EventState
		if rec.Run.Undoes != "" {
			kind = EventStarted
		}
		return []Event{{Kind: kind, Run: rec.Run.ID, Actor: by.Actor, Message: rec.Run.Reason}}, nil
	})
}
