package firmware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// install lets the Gate decide whether the slot is activated now.
func (r *runner) install() error {
	held := r.rec.Run.State == StateWaiting // in an earlier process
	waited, err := r.pass(StepInstall)
	if err == nil && (waited || held) {
		err = r.withdrawn()
	}
	if err != nil {
		return err
	}
	if waited || held { // others may have written to the slot meanwhile
		return r.enterPhase(phaseVerify)
	}
	r.setPhase(phaseRestart) // from now on the next start may be of the new image
	err = r.step(func(rec *Record) ([]Event, error) {
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

// withdrawn is ErrCancelled if the catalog has the release of the run no more.
// What was brought by hand need not be there, and without a feed nobody knows.
func (r *runner) withdrawn() error {
	run := r.rec.Run
	if run.Pulled[WayBundle] > 0 {
		return nil
	}
	ctx, done := context.WithTimeout(r.ahead, r.s.config.Stall)
	defer done()
	rec, err := r.s.check(ctx, 0)
	if err != nil || slices.ContainsFunc(rec.Catalog.Releases, func(x Release) bool { return x.Digest == run.Release.Digest }) {
		return nil
	}
	return fmt.Errorf("%w: version %q was withdrawn while it waited", ErrCancelled, run.Version)
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
	if _, err := r.pass(StepRestart); err != nil {
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
	if _, err := r.s.keepRunning(r.ahead, r.held); err != nil {
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
	ctx, done := context.WithTimeoutCause(r.ahead, restartWithin, fmt.Errorf("%w: not restarted within %s", ErrUnavailable, restartWithin))
	defer done()
	if err := r.s.config.Reboot(ctx); err != nil {
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
	if _, err := r.s.keepRunning(r.ahead, r.held); err != nil {
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
	return ends(rec, StateFailed, DeviceFailed, why, causes.Of(ErrUnhealthy))
}
