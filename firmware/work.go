package firmware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// runner works on the live run under the lease of the device.
type runner struct {
	s    *Service
	held *lease.Held
	id   string
	gone chan struct{} // closed when this process works on the run no more
	left chan struct{} // closed when nothing of the work goes on

	ahead  context.Context // ends with the lease, and when the run is cancelled or the Service closes
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	rec   Record    // as last read or written
	now   progress  // of rec, and how far the work has come since: the work's own
	since time.Time // up to when now.Idle has been counted: the work's own
	asked bool      // a restart is about to be asked for
	apply chan struct{}
}

// work brings the live run as far as it comes without a restart, and ends held
// unless the device restarts: until then nobody else may act. A bundle comes by
// up.
func (s *Service) work(held *lease.Held, rec Record, up *upload) {
	r := &runner{
		s: s, held: held, id: rec.Run.ID, rec: rec, now: progressOf(rec),
		gone: make(chan struct{}), left: make(chan struct{}), apply: make(chan struct{}),
	}
	if up != nil {
		up.left = r.left
		defer func() { up.fail(errClosing) }() // if it was not received
	}
	defer close(r.left)
	ahead, cancel := context.WithCancelCause(held.Context())
	r.ahead, r.cancel = lease.Watchful(ahead), cancel
	defer cancel(nil)
	defer context.AfterFunc(s.door.Ending(), func() { cancel(errClosing) })()
	s.mu.Lock()
	s.live, s.given = r, nil
	s.mu.Unlock()
	r.notice(rec)
	if s.config.Disabled && r.now.cancellable() {
		cancel(fmt.Errorf("%w: %w", ErrCancelled, ErrDisabled))
	}

	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(stop) })
	err := r.phases(up)
	close(stop)
	watching.Wait()
	r.leave(err)
}

// restartWithin is how long a device may take to restart before it is asked
// again.
const restartWithin = 10 * time.Minute

// leave ends the work, and tells who wants to know of it.
func (r *runner) leave(err error) {
	s, run := r.s, *r.rec.Run
	restarts := errors.Is(err, ErrRestarting)
	s.mu.Lock()
	s.live = nil
	switch {
	case restarts:
		s.restarting = r.id
	case err != nil:
		s.given = map[string]error{r.id: err}
	}
	s.mu.Unlock()
	switch {
	case restarts:
		s.log(slog.LevelInfo, "restarting", run)
		s.door.Go(func() { s.awaitRestart(r.held, r.now.Start) })
	case err != nil && !errors.Is(err, ErrClosed):
		s.log(slog.LevelError, "given up", run, "err", err)
		fallthrough
	default:
		s.release(r.held)
	}
	if err == nil && run.State.Done() {
		s.tell(run)
	}
	close(r.gone)
}

// awaitRestart keeps everybody from acting on a device that restarts, until it
// has: a Service may outlive that. If it does not, the next round asks for it
// again.
func (s *Service) awaitRestart(held *lease.Held, before string) {
	ctx, done := context.WithTimeout(s.door.Stopping(), restartWithin)
	defer done()
	for pause.For(ctx, lookInterval) == nil {
		if pair, err := s.config.Slots.Pair(ctx); err == nil && pair.Start != before {
			break
		}
	}
	s.release(held)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restarting = ""
}

// quiet is a context for what must be written whatever became of ctx, and soon.
func quiet(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// phases goes through what is left of the run. A nil error is its end, or a
// trial that goes on.
func (r *runner) phases(up *upload) error {
	for try := 0; ; {
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
		switch {
		case err == nil && !r.rec.Run.State.Done():
			continue
		case err != nil && r.now.Phase.activated() && !r.ends(err):
			try++ // there is nothing to fail any more
			err = r.again(try, err)
		}
		if err != nil {
			return r.settle(err)
		}
		if r.rec.Run.State.Done() {
			return nil
		}
	}
}

// ends reports whether this process works on the run no more after an error.
func (r *runner) ends(err error) bool {
	return errors.Is(err, ErrRestarting) || errors.Is(err, errOvertaken) || errors.Is(err, record.ErrUnwritten) ||
		context.Cause(r.ahead) != nil || r.s.door.Shut()
}

// settle ends the run if that is what an error means.
func (r *runner) settle(err error) error {
	cause := context.Cause(r.ahead)
	cancelled := errors.Is(cause, ErrCancelled) || errors.Is(err, ErrCancelled)
	switch {
	case errors.Is(err, ErrRestarting), errors.Is(err, record.ErrUnwritten), errors.Is(err, errOvertaken), r.held.Context().Err() != nil:
		return err
	case cancelled && r.now.cancellable():
		return r.cancelled(err)
	case errors.Is(err, errClosing), r.s.door.Shut():
		return errClosing
	case r.now.Phase.activated():
		return err
	case r.now.Phase == phaseReceive:
		return r.end(StateFailed, DeviceIdle, err.Error(), causes.Of(err))
	}
	return r.end(StateFailed, DeviceFailed, err.Error(), causes.Of(err))
}

// cancelled ends the run as one that somebody wanted to stop. A slot that is
// activated is so no more.
func (r *runner) cancelled(why error) error {
	if r.now.Phase == phaseRestart {
		ctx, done := quiet(r.held.Context())
		defer done()
		if _, err := r.s.keepRunning(ctx, r.held); err != nil {
			return fmt.Errorf("taking the activation back: %w", err)
		}
	}
	return r.step(func(rec *Record) ([]Event, error) {
		reason := why.Error()
		if rec.Run.Cancel != nil {
			reason = rec.Run.Cancel.String()
		}
		return ends(rec, StateCancelled, DeviceIdle, reason, ""), nil
	})
}

// end writes the outcome of the run.
func (r *runner) end(state State, device DeviceState, reason, cause string) error {
	return r.step(func(rec *Record) ([]Event, error) {
		return ends(rec, state, device, reason, cause), nil
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

// step writes a change of the record, with how far the run has come. An error of
// change writes nothing; any other says that nobody knows what is written.
func (r *runner) step(change func(*Record) ([]Event, error)) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.ahead))
	defer cancel(nil)
	held := r.held.Context()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })()
	var refused error
	rec, err := r.s.amend(ctx, r.held.Lease().Token, func(rec *Record) ([]Event, error) {
		if err := context.Cause(held); err != nil {
			return nil, err
		}
		if rec.Run == nil || rec.Run.ID != r.id || rec.Run.State.Done() {
			return nil, errOvertaken
		}
		rec.Run.Owner = r.held.Lease().Owner
		var events []Event
		if events, refused = change(rec); refused != nil {
			return nil, refused
		}
		r.now.put(rec)
		return events, nil
	})
	switch {
	case refused != nil, errors.Is(err, record.ErrUnwritten):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", record.ErrUnwritten, err)
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
	return r.step(func(rec *Record) ([]Event, error) {
		rec.Run.State, rec.Device, rec.Info = state, device, cut(info, maxReason)
		if rec.Run.Reason = ""; state == StateWaiting || state == StateRollingBack {
			rec.Run.Reason = rec.Info
		}
		if rec.Run.Cancel != nil && r.now.cancellable() {
			rec.Device = DeviceCancelling
		}
		return []Event{{Kind: EventState, Run: r.id, Message: rec.Info}}, nil
	})
}

// notice learns what others wish. Nobody can be told any more that the run stops
// once its slot is activated, so that both are looked at under one lock.
func (r *runner) notice(rec Record) {
	if rec.Run == nil || rec.Run.ID != r.id {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec.Run.Cancel != nil && !r.asked && progressOf(rec).cancellable() {
		r.cancel(ErrCancelled)
	}
	if rec.Run.Apply != nil && !r.applied() {
		close(r.apply)
	}
}

func (r *runner) applied() bool {
	select {
	case <-r.apply:
		return true
	default:
		return false
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
func (r *runner) pass(next Step) (waited bool, err error) {
	run := r.rec.Run.Clone()
	for {
		if err := r.forward(); err != nil {
			return waited, err
		}
		if r.applied() {
			return waited, nil
		}
		err := r.s.config.Gate(r.ahead, run, next)
		if err == nil {
			return waited, nil
		}
		waited = true
		if reason := cut(err.Error(), maxReason); run.State != StateWaiting || reason != run.Reason {
			if err := r.turn(StateWaiting, DeviceIdle, reason); err != nil {
				return waited, err
			}
			run = r.rec.Run.Clone()
		}
		ctx, done := r.s.door.Until(r.ahead)
		select {
		case <-ctx.Done():
		case <-r.apply:
		case <-time.After(gateInterval):
		}
		done()
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
	if r.s.door.Pause(r.ahead, d) != nil {
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
