package firmware

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/record"
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
		pair, failure = s.disarm(ctx, held, pair)
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
			return nil, record.ErrSame
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
			return nil, record.ErrSame
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
	if pair.Confirmed { // the slots may know more than a Store that was made anew
		rec.Floor = max(rec.Floor, pair.Running.Epoch)
	}
	switch rec.Device {
	case DeviceCheckingLocal, DeviceCheckingOnline, DeviceUnavailable:
		rec.Device, rec.Info = atRest(*rec)
	}
	return s.judge(rec, pair)
}

// disarm takes back what makes the next start try an image, if the boot loader
// has not tried it when it should have: it could still do so when the run is
// long forgotten.
func (s *Service) disarm(ctx context.Context, held *lease.Held, pair Pair) (Pair, error) {
	rec, err := s.load(ctx)
	if err != nil || !neverStarted(rec, pair) {
		return pair, err
	}
	return s.keepRunning(ctx, held)
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

// keepRunning makes the running slot the one to start from, and looks whether
// it is.
func (s *Service) keepRunning(ctx context.Context, held *lease.Held) (Pair, error) {
	if err := held.Confirm(); err != nil {
		return Pair{}, err
	}
	if err := s.config.Slots.Confirm(ctx); err != nil {
		return Pair{}, err
	}
	pair, err := s.pair(ctx)
	if err == nil && (!pair.Confirmed || pair.Armed) {
		err = fmt.Errorf("%w: the slots say that the image is not confirmed", ErrUnavailable)
	}
	return pair, err
}

// judge says what it means for the live run that these images are there.
func (s *Service) judge(rec *Record, pair Pair) []Event {
	if rec.Run == nil || rec.Run.State.Done() {
		if pair.Confirmed {
			return nil
		}
		return adopt(rec, pair)
	}
	p := progressOf(*rec)
	ours := pair.Running.Run == rec.Run.ID
	if p.Adopted {
		ours = pair.Running.Digest == rec.Run.Release.Digest && pair.Running.Version == rec.Run.Version
	}
	switch {
	case p.Phase == phaseBack && rec.Run.Undoes != "":
		if pair.Running.Digest == rec.Run.Release.Digest {
			return ends(rec, StateRolledBack, DeviceIdle, rec.Run.Reason, "")
		}
	case p.Phase == phaseBack && !ours:
		return fellBack(rec, rec.Run.Reason, rec.Run.Cause)
	case ours && pair.Confirmed && p.Phase.activated() && p.Phase != phaseBack:
		return succeeds(rec)
	case p.Phase == phaseRestart && ours && rec.Run.Cancel != nil: // it came while nobody worked on the run
		progress{Phase: phaseBack, Untold: p.Untold}.put(rec)
		rec.Run.State, rec.Run.Reason = StateRollingBack, rec.Run.Cancel.String()
		rec.Device, rec.Info = atRest(*rec)
		return []Event{{Kind: EventState, Run: rec.Run.ID, Actor: rec.Run.Cancel.Actor, Message: rec.Run.Reason}}
	case p.Phase == phaseRestart && ours:
		progress{Phase: phaseTrial, Durable: p.Durable, Untold: p.Untold}.put(rec)
		rec.Run.State, rec.Run.Reason, rec.Device, rec.Info = StateTrial, "", DeviceIdle, infoConfirm
		return []Event{{Kind: EventState, Run: rec.Run.ID, Message: "the new image runs"}}
	case p.Phase == phaseRestart && pair.Other.Run == rec.Run.ID && pair.Other.Tries > 0,
		p.Phase == phaseTrial && !ours:
		return fellBack(rec, "the new image was started and did not stay", causes.Of(ErrUnhealthy))
	case neverStarted(*rec, pair):
		return fellBack(rec, "the boot loader did not start the new image", causes.Of(ErrUnhealthy))
	}
	return nil
}

// adopt makes a run of an image that is on trial though no run is live: that of
// a Store that was lost, or restored, meanwhile. It is judged as any other.
func adopt(rec *Record, pair Pair) []Event {
	running := pair.Running
	progress{Phase: phaseTrial, Adopted: true}.follows(*rec).put(rec)
	rec.Run = &Run{
		ID: strings.ToLower(rand.Text()), From: pair.Other.Version, Version: running.Version, State: StateTrial,
		Release: Release{Version: running.Version, Epoch: running.Epoch, Digest: running.Digest},
	}
	rec.Device, rec.Info = DeviceIdle, infoConfirm
	return []Event{{Kind: EventStarted, Run: rec.Run.ID, Message: "an image runs that nobody has confirmed"}}
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
