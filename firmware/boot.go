package firmware

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	if err := s.showLook(ctx, token); err != nil {
		return Record{}, err
	}
	pair, failure := s.pair(ctx)
	if failure == nil {
		failure = s.disarm(ctx, held, pair)
	}
	left := failure != nil && ctx.Err() != nil // nobody waits for the answer any more
	if left {
		failure = context.Cause(ctx)
	}
	quiet, done := quiet(ctx)
	defer done()
	ends := false
	rec, err := s.amend(quiet, token, func(rec *Record) ([]Event, error) {
		before := rec.Clone()
		events := s.see(rec, pair, failure, left)
		ends = rec.Run != nil && rec.Run.State.Done() && !before.Run.State.Done()
		if sameRecord(*rec, before) {
			return nil, errSame
		}
		if len(events) == 0 && rec.Device != before.Device {
			events = []Event{{Kind: EventState, Message: rec.Info}}
		}
		return events, nil
	})
	if err != nil {
		return rec, err
	}
	if ends {
		s.tellFreed(held, *rec.Run)
	}
	if failure == nil {
		s.mu.Lock()
		s.looked = true
		s.mu.Unlock()
	}
	return rec, failure
}

// showLook makes the device show that it looks at what runs, once a process.
func (s *Service) showLook(ctx context.Context, token int64) error {
	s.mu.Lock()
	shown := s.shown
	s.shown = true
	s.mu.Unlock()
	if shown {
		return nil
	}
	_, err := s.amend(ctx, token, func(rec *Record) ([]Event, error) {
		if rec.Device == DeviceUnavailable {
			return nil, errSame
		}
		rec.Device, rec.Info = DeviceCheckingLocal, ""
		return []Event{{Kind: EventState}}, nil
	})
	return err
}

// see makes of the record what it means that these images are there, or that
// nobody can tell.
func (s *Service) see(rec *Record, pair Pair, failure error, left bool) []Event {
	switch {
	case left:
		rec.Device, rec.Info = atRest(*rec)
		return nil
	case failure != nil:
		rec.Device, rec.Info = DeviceUnavailable, cut(failure.Error(), maxReason)
		return nil
	}
	rec.Running = pair.Running
	rec.Running.Run, rec.Running.Tries = "", 0
	switch rec.Device {
	case DeviceCheckingLocal, DeviceCheckingOnline, DeviceUnavailable:
		rec.Device, rec.Info = atRest(*rec)
	}
	return s.judge(rec, pair)
}

// disarm takes back what makes the next start try an image, if the boot loader
// has not tried it when it should have: it could still do so when the run is
// long forgotten.
func (s *Service) disarm(ctx context.Context, held *lease.Held, pair Pair) error {
	rec, err := s.load(ctx)
	if err != nil || !neverStarted(rec, pair) {
		return err
	}
	if err := held.Confirm(); err != nil {
		return err
	}
	return s.config.Slots.Confirm(ctx)
}

// neverStarted reports whether the device has started since it was to try the
// image of its run, and not with that.
func neverStarted(rec Record, pair Pair) bool {
	if rec.Run == nil || rec.Run.State.Done() {
		return false
	}
	p := progressOf(rec)
	return p.Phase == phaseRestart && p.startedAnew(pair) && pair.Running.Run != rec.Run.ID && pair.Other.Tries == 0
}

// atRest is the state of a device on which nothing acts.
func atRest(rec Record) (DeviceState, string) {
	if rec.Run == nil {
		return DeviceIdle, ""
	}
	switch run := rec.Run; {
	case run.State == StateFailed && progressOf(rec).Phase != phaseReceive, run.State == StateRolledBack && run.Cause != "":
		return DeviceFailed, run.Reason
	case run.State == StateTrial:
		return DeviceIdle, infoConfirm
	case run.State == StateWaiting:
		return DeviceIdle, run.Reason
	}
	return DeviceIdle, ""
}

// infoConfirm is what people are told of a device whose image is on trial.
const infoConfirm = "confirm"

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
		return fellBack(rec, rec.Run.Reason, rec.Run.Cause)
	case ours && pair.Confirmed && p.Phase.activated() && p.Phase != phaseBack:
		return succeeds(rec)
	case p.Phase == phaseRestart && ours:
		progress{Phase: phaseTrial, Durable: p.Durable, Untold: p.Untold}.put(rec)
		rec.Run.State, rec.Run.Reason, rec.Device, rec.Info = StateTrial, "", DeviceIdle, infoConfirm
		return []Event{{Kind: EventState, Run: rec.Run.ID, Message: "the new image runs"}}
	case p.Phase == phaseRestart && pair.Other.Run == rec.Run.ID && pair.Other.Tries > 0,
		p.Phase == phaseTrial && !ours:
		return fellBack(rec, "the new image was started and did not stay", causeOf(ErrUnhealthy))
	case neverStarted(*rec, pair):
		return fellBack(rec, "the boot loader did not start the new image", causeOf(ErrUnhealthy))
	}
	return nil
}

// fellBack ends a run whose image does not run any more, and remembers that. It
// has failed, unless somebody wanted it so.
func fellBack(rec *Record, reason, cause string) []Event {
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
func succeeds(rec *Record) []Event {
	rec.Floor = max(rec.Floor, rec.Run.Release.Epoch)
	rec.RolledBack = slices.DeleteFunc(rec.RolledBack, func(d [32]byte) bool { return d == rec.Run.Release.Digest })
	return ends(rec, StateSucceeded, DeviceIdle, "", "")
}

// install lets the Gate decide whether the slot is activated now.
func (r *runner) install() error {
	if err := r.pass(StepInstall); err != nil {
		return err
	}
	r.setPhase(phaseRestart) // from now on the next start may be of the new image
	err := r.step(func(rec *Record) ([]Event, error) {
		if rec.Run.Cancel != nil {
			return nil, ErrCancelled
		}
		rec.Run.State, rec.Run.Reason, rec.Device, rec.Info = StateRunning, "", DeviceUploading, "install"
		return []Event{{Kind: EventState, Run: r.id, Message: rec.Info}}, nil
	})
	if err != nil {
		r.setPhase(phaseInstall)
	}
	return err
}

// restart makes the next start try the new image, and asks for that start.
func (r *runner) restart() error {
	if err := r.held.Confirm(); err != nil {
		return err
	}
	run := *r.rec.Run
	if err := r.s.config.Slots.Activate(r.ahead, run.Release, run.ID); err != nil {
		return r.notActivated(err)
	}
	if err := r.pass(StepRestart); err != nil {
		return err
	}
	return r.reboot(StateRestarting)
}

// notActivated fails the run, once it is sure that the next start is of the
// image that runs.
func (r *runner) notActivated(why error) error {
	if r.ends(why) {
		return why
	}
	if err := r.s.config.Slots.Confirm(r.ahead); err != nil {
		return errors.Join(why, err)
	}
	r.setPhase(phaseInstall)
	return fmt.Errorf("activating the slot: %w", why)
}

// reboot asks for the restart. Nobody can cancel the run any more.
func (r *runner) reboot(state State) error {
	pair, err := r.s.pair(r.ahead)
	if err != nil {
		return err
	}
	before := r.now
	r.now.Asked, r.now.Start, r.now.Restarted = r.now.Asked+1, pair.Start, false
	err = r.step(func(rec *Record) ([]Event, error) {
		if rec.Run.Cancel != nil && before.cancellable() {
			return nil, ErrCancelled
		}
		rec.Run.State, rec.Device, rec.Info = state, DeviceRestarting, rec.Run.Reason
		if state == StateRestarting {
			rec.Run.Reason, rec.Info = "", ""
		}
		return []Event{{Kind: EventState, Run: r.id, Message: rec.Info}}, nil
	})
	if err != nil {
		r.now.Asked, r.now.Start = before.Asked, before.Start
		return err
	}
	r.mu.Lock()
	r.asked = true
	r.mu.Unlock()
	if err := r.s.config.Reboot(r.ahead); err != nil {
		return fmt.Errorf("restarting: %w", err)
	}
	r.now.Restarted = true
	if err := r.step(func(*Record) ([]Event, error) { return nil, nil }); err != nil {
		r.s.log(slog.LevelWarn, "restarting, and not recorded", *r.rec.Run, "err", err)
	}
	return ErrRestarting
}

// back makes the next start one of the old image, and asks for that start.
func (r *runner) back() error {
	pair, err := r.s.pair(r.ahead)
	if err != nil {
		return err
	}
	if err := r.held.Confirm(); err != nil {
		return err
	}
	if r.now.startedAnew(pair) {
		return r.noWayBack("the boot loader did not start the old image")
	}
	err = r.s.config.Slots.Revert(r.ahead)
	if errors.Is(err, ErrTooLate) {
		return r.noWayBack("there is no image to go back to")
	}
	if err != nil {
		return fmt.Errorf("going back: %w", err)
	}
	return r.reboot(StateRollingBack)
}

// noWayBack ends a run whose image goes on though nobody wants it: it is what is
// to start from, so that another one can be installed.
func (r *runner) noWayBack(why string) error {
	if err := r.s.config.Slots.Confirm(r.ahead); err != nil {
		return fmt.Errorf("keeping the image: %w", err)
	}
	return r.step(func(rec *Record) ([]Event, error) {
		return stays(rec, why), nil
	})
}

// stays ends a run whose image goes on though it should not.
func stays(rec *Record, why string) []Event {
	if rec.Run.Undoes == "" {
		rec.leaveAlone(rec.Run.Release.Digest)
	}
	if rec.Run.Reason != "" {
		why += ": " + rec.Run.Reason
	}
	return ends(rec, StateFailed, DeviceFailed, why, causeOf(ErrUnhealthy))
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
	quiet, done := quiet(ctx)
	defer done()
	ends := false
	rec, err = s.amend(quiet, held.Lease().Token, func(rec *Record) ([]Event, error) {
		ends = rec.Run != nil && rec.Run.State == StateTrial
		if floor := max(rec.Floor, pair.Running.Epoch); !ends && floor == rec.Floor {
			return nil, errSame
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
	case cause != "" && rec.Run.State != StateTrial:
		return rec, fmt.Errorf("%w: run %q is %s", ErrStale, id, rec.Run.State)
	case !other.Whole:
		return rec, fmt.Errorf("%w: the other slot has no image that could be started", ErrTooLate)
	case other.Epoch < rec.Floor:
		return rec, fmt.Errorf("%w: the other slot has epoch %d, at least %d is needed", ErrTooLate, other.Epoch, rec.Floor)
	}
	return s.amend(ctx, held.Lease().Token, func(rec *Record) ([]Event, error) {
		before := progressOf(*rec)
		p := progress{Phase: phaseBack, Untold: before.Untold}
		switch run := rec.Run; {
		case run.ID != id:
			return nil, fmt.Errorf("%w: run %q is not the last", ErrStale, id)
		case cause != "" && run.State != StateTrial:
			return nil, fmt.Errorf("%w: run %q is %s", ErrStale, id, run.State)
		case run.State == StateTrial:
			run.State, run.Reason, run.Cause = StateRollingBack, cut(by.String(), maxReason), cause
		case run.State == StateSucceeded:
			rec.leaveAlone(rec.Running.Digest)
			if !before.Told {
				p.Untold = run.ID
			}
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
		p.put(rec)
		kind := EventState
		if rec.Run.Undoes != "" {
			kind = EventStarted
		}
		return []Event{{Kind: kind, Run: rec.Run.ID, Actor: by.Actor, Message: rec.Run.Reason}}, nil
	})
}
