package firmware

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

func isUpToDate(err error) bool { return errors.Is(err, ErrUpToDate) }

func (r Request) check() error {
	if err := fits("Version", r.Version, maxName); err != nil {
		return err
	}
	return fits("RequestID", r.By.RequestID, maxName)
}

// Start validates the request, records the run and returns; the update goes on
// in the background and does not end with ctx. Without a Plan it checks first
// unless the catalog as last verified still counts and has the Version. It
// returns ErrBusy while a run is live, an image on trial included, and takes it
// up if nobody works on it; ErrUpToDate when there is nothing to do,
// ErrRolledBack when all that is newer was rolled back here, and ErrDisabled.
//
// When ctx ends before Start has returned, the run may have begun all the
// same: repeat the request with its RequestID to learn that.
func (s *Service) Start(ctx context.Context, r Request) (Run, error) {
	if err := r.check(); err != nil {
		return Run{}, err
	}
	id := r.By.RequestID
	r.By = r.By.bounded()
	r.By.RequestID = id
	if s.config.Disabled {
		return Run{}, ErrDisabled
	}
	if run, found, err := s.earlier(ctx, r.By); found || err != nil {
		return run, err
	}
	run, _, err := s.begin(ctx, nil, func(ctx context.Context, rec Record, token int64) (Run, progress, error) {
		_, err := s.choose(rec, r)
		unknown := r.Version != "" && errors.Is(err, ErrNotFound)
		if r.Plan == "" && (r.Version == "" || unknown || s.stillGood(rec) != nil) {
			if rec, err = s.check(ctx, token); err != nil {
				return Run{}, progress{}, err
			}
		}
		if err := s.stillGood(rec); err != nil {
			return Run{}, progress{}, err
		}
		release, err := s.choose(rec, r)
		if err == nil && r.Plan != "" && r.Plan != planID(rec.Running, release) {
			err = fmt.Errorf("%w: plan %q is not what would be done now", ErrStale, cut(r.Plan, maxName))
		}
		return newRun(rec, release, r), progress{Phase: phasePull}, err
	})
	return run, err
}

func newRun(rec Record, release Release, r Request) Run {
	return Run{
		ID: strings.ToLower(rand.Text()), From: rec.Running.Version, Version: release.Version, Release: release,
		State: StateRunning, Pulled: map[Way]int64{}, Request: r,
	}
}

// earlier finds the run of a repeated request.
func (s *Service) earlier(ctx context.Context, by By) (Run, bool, error) {
	if by.RequestID == "" {
		return Run{}, false, nil
	}
	for run, err := range s.config.DeviceStore.History(ctx, Query{RequestID: by.RequestID}) {
		return run, err == nil, err
	}
	return Run{}, false, nil
}

// begin takes the lease, settles what a restart or a dead process has left,
// records the run that build makes and works on it in the background, with up
// if it is a bundle's. It reports whether it has begun: a request that came
// twice at once has the run that the other one began.
func (s *Service) begin(
	ctx context.Context, up *upload, build func(ctx context.Context, rec Record, token int64) (Run, progress, error),
) (run Run, begun bool, err error) {
	ctx, leave, err := s.door.Enter(ctx)
	if err != nil {
		return Run{}, false, err
	}
	defer leave()
	held, err := s.hold(ctx)
	if err != nil {
		return Run{}, false, err
	}
	handed := false
	defer func() { // also when the engine panics
		if !handed {
			s.release(held)
		}
	}()
	rec, err := s.settled(ctx, held)
	if err == nil && rec.Run != nil && !rec.Run.State.Done() {
		err = busy(*rec.Run)
		handed = true
		return Run{}, false, errors.Join(err, s.goOn(ctx, held, rec))
	}
	var p progress
	if err == nil {
		run, p, err = build(ctx, rec, held.Lease().Token)
	}
	if err == nil {
		rec, err = s.record(ctx, held, run, p)
	}
	if err != nil {
		if errors.Is(err, ErrExists) { // the request came twice at once
			if run, found, e := s.earlier(ctx, run.Request.By); found && e == nil {
				return run, false, nil
			}
		}
		return Run{}, false, err
	}
	run, handed = rec.Run.Clone(), true
	s.door.Go(func() { s.work(held, rec, up) })
	return run, true, nil
}

func busy(run Run) error {
	return fmt.Errorf("%w: run %q to version %q is %s", ErrBusy, run.ID, run.Version, run.State)
}

// record writes a new run.
func (s *Service) record(ctx context.Context, held *lease.Held, run Run, p progress) (Record, error) {
	run.Owner = held.Lease().Owner
	rec, err := s.amend(ctx, held.Lease().Token, func(rec *Record) ([]Event, error) {
		switch {
		case rec.Run == nil:
		case rec.Run.ID == run.ID:
			return nil, record.ErrSame // the reply of an earlier try was lost
		case !rec.Run.State.Done():
			return nil, busy(*rec.Run)
		}
		kept, next := run.Clone(), p.follows(*rec)
		rec.Run, rec.Device, rec.Info = &kept, DeviceIdle, ""
		next.put(rec)
		return []Event{{
			Kind: EventStarted, Run: run.ID, Actor: run.Request.By.Actor,
			Message: cut(fmt.Sprintf("from %q to %q %s", run.From, run.Version, run.Request.By.Reason), maxReason),
		}}, nil
	})
	if err == nil {
		s.log(slog.LevelInfo, "begun", run)
	}
	return rec, err
}

// Wait returns the run once it is done, with Run.Err, or, with ErrRestarting,
// once this process has asked for the restart; after the restart Wait goes on to
// the end. When ctx ends first, or this process had to give the run up, it
// returns the run so far and the error that says so.
func (s *Service) Wait(ctx context.Context, id string) (Run, error) {
	for {
		restarts, given := s.restarts(id), s.gaveUp(id) // before the record, which has what led there
		run, err := s.Get(ctx, id)
		switch {
		case err != nil:
			return run, err
		case run.State.Done() && !s.working(id):
			return run, run.Err()
		case restarts:
			return run, fmt.Errorf("%w: for version %q", ErrRestarting, run.Version)
		case given != nil:
			return run, given
		case s.restarts(id), s.gaveUp(id) != nil: // since: the record has more to say
			continue
		case s.door.Shut():
			return run, ErrClosed
		}
		if err := s.pauseFor(ctx, waitInterval, id); err != nil {
			return run, err
		}
	}
}

// waitInterval is how often Wait looks at a run of another process.
const waitInterval = 250 * time.Millisecond

// pauseFor waits for some time, or until this process works on the run no more.
func (s *Service) pauseFor(ctx context.Context, d time.Duration, id string) error {
	s.mu.Lock()
	r := s.live
	s.mu.Unlock()
	if r == nil || r.id != id {
		return s.door.Pause(ctx, d)
	}
	select {
	case <-r.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Service) working(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live != nil && s.live.id == id
}

// gaveUp returns why this process works on a run no more that is not done.
func (s *Service) gaveUp(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given[id]
}

// restarts reports whether this process has asked for the restart of a run.
func (s *Service) restarts(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarting == id
}

// Update is Start and Wait.
func (s *Service) Update(ctx context.Context, r Request) (Run, error) {
	run, err := s.Start(ctx, r)
	if err != nil {
		return run, err
	}
	return s.Wait(ctx, run.ID)
}

// hold takes the lease of the device, or returns ErrBusy. Who only looks, or is
// dead, has it for a while: it is waited for, unless a run is under way.
func (s *Service) hold(ctx context.Context) (*lease.Held, error) {
	c := lease.HoldConfig{Owner: s.config.Owner, TTL: s.config.LockTTL, Line: &s.line}
	held, err := lease.Hold(ctx, s.config.Locker, s.item, c)
	by, isHeld := errors.AsType[*lease.HeldError](err)
	if !isHeld {
		return held, err
	}
	if rec, err := s.load(ctx); err != nil || rec.Run != nil && !rec.Run.State.Done() && rec.Run.State != StateTrial {
		return nil, fmt.Errorf("%w: %w", ErrBusy, by)
	}
	waiting, done := context.WithTimeout(ctx, s.config.LockTTL+time.Second)
	defer done()
	c.Wait = true
	held, err = lease.Hold(waiting, s.config.Locker, s.item, c)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrBusy, by)
	}
	return held, err
}

// look takes the lease of the device unless somebody has it.
func (s *Service) look(ctx context.Context) (*lease.Held, error) {
	held, err := lease.Hold(ctx, s.config.Locker, s.item, lease.HoldConfig{Owner: s.config.Owner, TTL: s.config.LockTTL, Line: &s.line})
	if by, isHeld := errors.AsType[*lease.HeldError](err); isHeld {
		return nil, fmt.Errorf("%w: %w", ErrBusy, by)
	}
	return held, err
}

// release ends a lease, as long as it could keep others away.
func (s *Service) release(held *lease.Held) { _ = s.door.Insist(s.config.LockTTL, held.Release) }
