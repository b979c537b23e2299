package firmware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lease"
)

// runner works on the live run under the lease of the device.
type runner struct {
	s    *Service
	held *lease.Held
	id   string
	gone chan struct{} // closed when this process works on the run no more

	ahead  context.Context // ends with the lease, and when the run is cancelled or the Service closes
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	rec   Record   // as last read or written
	now   progress // of rec
	apply chan struct{}
}

// work brings the live run as far as it comes without a restart, and ends held
// unless the device restarts: until then nobody else may act. A bundle comes by
// up.
func (s *Service) work(held *lease.Held, rec Record, up *upload) {
	r := &runner{
		s: s, held: held, id: rec.Run.ID, rec: rec, now: progressOf(rec),
		gone: make(chan struct{}), apply: make(chan struct{}),
	}
	ahead, cancel := context.WithCancelCause(held.Context())
	r.ahead, r.cancel = lease.Watchful(ahead), cancel
	defer cancel(nil)
	defer context.AfterFunc(s.door.Ending(), func() { cancel(errClosing) })()
	s.mu.Lock()
	s.live = r
	s.mu.Unlock()
	r.notice(rec)

	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(stop) })
	err := r.phases(up)
	close(stop)
	watching.Wait()
	r.leave(err)
}

// leave ends the work, and tells who wants to know of it.
func (r *runner) leave(err error) {
	s, run := r.s, *r.rec.Run
	restarts := errors.Is(err, ErrRestarting)
	if restarts {
		s.mu.Lock()
		s.restarting = r.id
		s.mu.Unlock()
		s.log(slog.LevelInfo, "restarting", run)
	} else if err != nil && !errors.Is(err, ErrClosed) {
		s.log(slog.LevelError, "given up", run, "err", err)
	}
	if restarts {
		s.door.Go(func() { // the lease ends with this process
			<-s.door.Stopping().Done()
			s.release(r.held)
		})
	} else {
		s.release(r.held)
	}
	s.mu.Lock()
	s.live = nil
	s.mu.Unlock()
	close(r.gone)
	if err == nil && run.State.Done() {
		s.tell(run)
	}
}

// tell tells OnFinish of a run that has ended, and remembers that.
func (s *Service) tell(run Run) {
	level := slog.LevelInfo
	if run.Err() != nil {
		level = slog.LevelWarn
	}
	s.log(level, string(run.State), run)
	s.config.OnFinish(run.Clone())
	_, _ = s.amend(context.Background(), 0, func(rec *Record) ([]Event, error) { // else it is told twice
		p := progressOf(*rec)
		if rec.Run == nil || rec.Run.ID != run.ID || p.Told {
			return nil, errSame
		}
		p.Told = true
		p.put(rec)
		return nil, nil
	})
}

// phases goes through what is left of the run. A nil error is its end, or a
// trial that goes on.
func (r *runner) phases(up *upload) error {
	for {
		var err error
		switch r.now.Phase {
		case phaseReceive:
			err = r.receive(up)
		case phasePull:
			err = r.pull()
		case phaseVerify:
			err = r.verify()
		case phaseInstall:
			err = r.install()
		case phaseRestart:
			err = r.restart()
		case phaseBack:
			err = r.back()
		case phaseTrial:
			return nil
		default:
			err = fmt.Errorf("%w: the record of the run's progress", ErrCorrupt)
		}
		if err != nil {
			return r.settle(err)
		}
		if r.rec.Run.State.Done() {
			return nil
		}
	}
}

// settle ends the run if that is what an error means.
func (r *runner) settle(err error) error {
	cause := context.Cause(r.ahead)
	switch {
	case errors.Is(err, ErrRestarting), r.held.Context().Err() != nil, errors.Is(err, errOvertaken):
		return err
	case errors.Is(cause, ErrCancelled), errors.Is(err, ErrCancelled):
		return r.step(func(rec *Record) []Event {
			reason := err.Error()
			if rec.Run.Cancel != nil {
				reason = rec.Run.Cancel.String()
			}
			return ends(rec, StateCancelled, DeviceIdle, reason, "")
		})
	case errors.Is(err, errClosing), r.s.door.Shut():
		return errClosing
	case r.now.activated():
		return err // there is nothing to fail any more: the next process goes on
	case r.now.Phase == phaseReceive:
		return r.end(StateFailed, DeviceIdle, err.Error(), causeOf(err))
	}
	return r.end(StateFailed, DeviceFailed, err.Error(), causeOf(err))
}

// end writes the outcome of the run.
func (r *runner) end(state State, device DeviceState, reason, cause string) error {
	return r.step(func(rec *Record) []Event {
		return ends(rec, state, device, reason, cause)
	})
}

// ends makes the outcome of the live run.
func ends(rec *Record, state State, device DeviceState, reason, cause string) []Event {
	rec.Run.State, rec.Run.Reason, rec.Run.Cause = state, cut(reason, maxReason), cause
	rec.Device, rec.Info = device, ""
	if device == DeviceFailed {
		rec.Info = rec.Run.Reason
	}
	if state == StateSucceeded {
		rec.Run.Percent = 100
	}
	return []Event{{Kind: EventEnded, Run: rec.Run.ID, Message: rec.Run.Reason}}
}

// step writes a change of the record, with how far the run has come.
func (r *runner) step(change func(*Record) []Event) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.ahead))
	defer cancel(nil)
	held := r.held.Context()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })()
	rec, err := r.s.amend(ctx, r.held.Lease().Token, func(rec *Record) ([]Event, error) {
		if err := context.Cause(held); err != nil {
			return nil, err
		}
		if rec.Run == nil || rec.Run.ID != r.id || rec.Run.State.Done() {
			return nil, errOvertaken
		}
		rec.Run.Owner = r.held.Lease().Owner
		events := change(rec)
		r.now.put(rec)
		return events, nil
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.rec = rec
	r.mu.Unlock()
	r.notice(rec)
	return nil
}

// turn is a step to another state of the run and the device, of which info says
// more.
func (r *runner) turn(state State, device DeviceState, info string) error {
	return r.step(func(rec *Record) []Event {
		rec.Run.State, rec.Device, rec.Info = state, device, cut(info, maxReason)
		if rec.Run.Reason = ""; state == StateWaiting || state == StateRollingBack {
			rec.Run.Reason = rec.Info
		}
		if rec.Run.Cancel != nil && !r.now.activated() {
			rec.Device = DeviceCancelling
		}
		return []Event{{Kind: EventState, Run: r.id, Message: rec.Info}}
	})
}

// notice learns what others wish.
func (r *runner) notice(rec Record) {
	if rec.Run == nil || rec.Run.ID != r.id {
		return
	}
	if rec.Run.Cancel != nil {
		r.mu.Lock()
		activated := r.now.activated()
		r.mu.Unlock()
		if !activated {
			r.cancel(ErrCancelled)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec.Run.Apply != nil {
		select {
		case <-r.apply:
		default:
			close(r.apply)
		}
	}
}

// watch looks once a second for what other processes wish.
func (r *runner) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		rec, err := r.s.load(r.ahead)
		if err == nil {
			r.notice(rec)
		}
	}
}

// gateInterval is how often a Gate is asked again.
const gateInterval = time.Minute

// pass waits until the Gate lets the run go on, or somebody applies it.
func (r *runner) pass(next Step) error {
	for waiting := false; ; {
		if err := r.forward(); err != nil {
			return err
		}
		if r.rec.Run.Apply != nil {
			return nil
		}
		err := r.s.config.Gate(r.ahead, r.rec.Run.Clone(), next)
		if err == nil {
			return nil
		}
		if reason := cut(err.Error(), maxReason); !waiting || reason != r.rec.Run.Reason {
			waiting = true
			if err := r.turn(StateWaiting, DeviceIdle, reason); err != nil {
				return err
			}
		}
		ctx, done := r.s.untilShut(r.ahead)
		select {
		case <-ctx.Done():
		case <-r.apply:
		case <-time.After(gateInterval):
		}
		done()
		r.mu.Lock()
		if rec, err := r.s.load(r.ahead); err == nil && rec.Run != nil && rec.Run.ID == r.id {
			r.rec = rec
		}
		r.mu.Unlock()
	}
}

// forward returns why the run must not go on.
func (r *runner) forward() error {
	if err := context.Cause(r.ahead); err != nil {
		return err
	}
	if r.s.door.Shut() {
		return errClosing
	}
	return nil
}

// rest waits between two tries.
func (r *runner) rest(d time.Duration) error {
	ctx, done := r.s.untilShut(r.ahead)
	defer done()
	if pause.For(ctx, d) != nil {
		return r.forward()
	}
	return nil
}

// log says what happens to a run.
func (s *Service) log(level slog.Level, what string, run Run, more ...any) {
	about := []any{"device", s.config.Device, "run", run.ID, "from", run.From, "version", run.Version}
	for _, a := range []struct{ key, value string }{
		{"undoes", run.Undoes}, {"actor", run.Request.By.Actor}, {"reason", run.Reason},
	} {
		if a.value != "" {
			about = append(about, a.key, a.value)
		}
	}
	s.config.Logger.Log(context.Background(), level, "firmware: "+what, append(about, more...)...)
}
