package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// runner works on a live run under the lease of its service.
type runner struct {
	c    *Controller
	k    *keeper
	id   string
	now  progress      // of the run, and how far the work has come since
	gone chan struct{} // closed when this process works on the run no more

	ahead   context.Context // ends with the lease, when the run is cancelled, or the Controller closes
	cancel  context.CancelCauseFunc
	changed <-chan struct{} // of the Deployer
	asked   <-chan struct{} // of the Router
	nudge   chan struct{}   // has a value when there is a wish

	asking sync.WaitGroup // of measurements

	mu   sync.Mutex
	wish *Wish // as last noticed
	rev  int64 // of the record that it is of
}

// begin makes the run one that this process works on; it takes over held.
func (c *Controller) begin(held *lease.Held, run Run, svc Service) {
	r := &runner{
		c: c, k: c.keeper(held, svc, &run), id: run.ID, now: progressOf(run),
		gone: make(chan struct{}), nudge: make(chan struct{}, 1),
	}
	ahead, cancel := context.WithCancelCause(held.Context())
	r.ahead, r.cancel = lease.Watchful(ahead), cancel
	c.mu.Lock()
	c.live[run.ID] = r
	delete(c.given, run.ID)
	c.mu.Unlock()
	r.notice(run)
	c.door.Go(r.work)
}

// work brings the run to its end, or as far as this process comes.
func (r *runner) work() {
	defer r.cancel(nil)
	defer context.AfterFunc(r.c.door.Ending(), func() { r.cancel(errClosing) })()
	observing, end := context.WithCancel(r.k.held.Context())
	r.changed, r.asked = r.c.config.Deployer.Changed(observing), r.c.config.Router.Changed(observing)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(stop) })
	err := r.phases()
	close(stop)
	watching.Wait()
	r.asking.Wait() // whose contexts have ended
	end()
	r.leave(err)
}

// leave ends the work, and tells who wants to know of it. Nobody waits until
// all is tidy.
func (r *runner) leave(err error) {
	c, run := r.c, *r.k.run
	if err == nil {
		r.end(nil)
		c.tell(run, true)
		r.k.tidy(run)
	} else if !errors.Is(err, ErrClosed) {
		c.log(slog.LevelError, "given up", run, "err", err)
	}
	r.k.close()
	c.release(r.k.held)
	if err != nil {
		r.end(err)
	}
	c.touch(run.Service)
}

// end says that this process works on the run no more.
func (r *runner) end(err error) {
	c := r.c
	c.mu.Lock()
	delete(c.live, r.id)
	if err != nil {
		c.given[r.id] = err
	}
	c.mu.Unlock()
	close(r.gone)
}

// phases goes through what is left of the run. A nil error is its end.
func (r *runner) phases() error {
	for try := 0; ; {
		state := r.k.run.State
		if state.Done() {
			return nil
		}
		err := r.phase(state)
		switch {
		case err == nil:
			try = 0
			continue
		case r.leaves(err):
			return r.cause(err)
		case state == StateRollingBack: // there is nothing to fail any more
			try++
			r.c.log(slog.LevelError, "not rolled back yet", *r.k.run, "err", err)
			err = r.pause(min(time.Duration(try)*time.Second, 30*time.Second))
		default:
			err = r.turnBack(err)
		}
		if err != nil {
			return r.cause(err)
		}
	}
}

func (r *runner) phase(s State) error {
	if r.k.revision() == nil && slices.Contains(revised, s) {
		return fmt.Errorf("%w: the service has no revision of run %q", ErrCorrupt, r.id)
	}
	switch s {
	case StateAccepted:
		return r.accepted()
	case StateBuilding:
		return r.building()
	case StateProvisioning:
		return r.provisioning()
	case StateHealthWait:
		return r.healthWait()
	case StateShifting:
		return r.shifting()
	case StateAnalysing, StatePaused:
		return r.looking()
	case StatePromoting:
		return r.promoting()
	case StateDraining:
		return r.draining()
	case StateFinalising:
		return r.finalising()
	case StateRollingBack:
		return r.back()
	}
	return fmt.Errorf("%w: run %q is in the unknown state %q", errStore, r.id, s)
}

// revised are the states in which the service has the revision of the run.
var revised = []State{StateProvisioning, StateHealthWait, StateShifting, StateAnalysing, StatePromoting, StateDraining, StateFinalising}

// leaves reports whether this process works on the run no more after an error.
func (r *runner) leaves(err error) bool {
	cause := context.Cause(r.ahead)
	return errors.Is(err, errStore) || errors.Is(err, errOvertaken) || errors.Is(err, errClosing) ||
		r.k.held.Context().Err() != nil || r.c.door.Shut() || cause != nil && !errors.Is(cause, ErrCancelled)
}

// cause is why this process works on the run no more.
func (r *runner) cause(err error) error {
	switch {
	case r.k.held.Context().Err() != nil:
		return fmt.Errorf("%w: %w", errOvertaken, err)
	case r.c.door.Shut() && !errors.Is(err, errStore):
		return errClosing
	}
	return err
}

// forward returns why the run must not go on.
func (r *runner) forward() error {
	if r.c.door.Shut() {
		return errClosing
	}
	return context.Cause(r.way())
}

// way is the context of what is done for the run: nobody can cancel a run that
// goes back.
func (r *runner) way() context.Context {
	if r.now.Back != nil {
		return r.k.held.Context()
	}
	return r.ahead
}

// turn writes a transition of the run. Before it goes back, one that somebody
// has cancelled meanwhile is not written, nor the last one that somebody has
// paused.
func (r *runner) turn(state State, message string, change func(*Run, *Service)) error {
	kept, from, step := r.now, r.k.run.State, r.k.run.Step
	err := r.k.save(func(run *Run, svc *Service) ([]Event, error) {
		if run.State == state && from != state {
			return nil, r.written(run)
		}
		r.now = kept.separate()
		if cancelled(run) && state != StateRollingBack && r.now.Back == nil {
			return nil, ErrCancelled
		}
		if state == StatePromoting && from != state && r.pauses(run) {
			return nil, record.ErrSame // there is still a step to pause at
		}
		r.enter(run, state, message)
		if change != nil {
			change(run, svc)
		}
		run.Split = svc.Split.Clone()
		r.now.put(run)
		kind, said := EventState, message
		switch {
		case run.State.Done():
			kind = EventEnded
		case state == from && run.Step == step:
			kind, said = EventProgress, cmp.Or(message, svc.present())
		}
		actor := ""
		if run.Wish != nil {
			actor = run.Wish.By.Actor
		}
		return []Event{{Kind: kind, Actor: actor, Message: said}}, nil
	})
	if err != nil {
		r.now = kept
	}
	r.noticed()
	return err
}

// written takes a transition for made whose reply was lost.
func (r *runner) written(run *Run) error {
	r.now = progressOf(*run)
	return record.ErrSame
}

func cancelled(run *Run) bool { return run.Wish != nil && run.Wish.Kind == WishCancel }

// enter writes the state into the run, with when the one before ended.
func (r *runner) enter(run *Run, state State, reason string) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if n := len(run.States); n > 0 {
		run.States[n-1].EndedAt = now
	}
	if run.State != state {
		run.State, run.Reason = state, ""
	}
	if reason != "" && (state == StatePaused || state == StateRollingBack) {
		run.Reason = cut(reason, maxReason)
	}
	rec := StateRecord{State: state, Step: run.Step, Reason: run.Reason, StartedAt: now}
	if state.Done() {
		rec.EndedAt = now
	}
	if n := len(run.States); n > 0 && run.States[n-1].State == state && run.States[n-1].Step == run.Step {
		rec.StartedAt, rec.Measurements = run.States[n-1].StartedAt, run.States[n-1].Measurements
		run.States[n-1] = rec
	} else {
		run.States = append(run.States, rec)
		run.trim()
	}
	if r.now.Back == nil {
		run.Percent = max(run.Percent, percentOf(run))
	}
}

// percentOf is how much of the work is done.
func percentOf(run *Run) int {
	steps := len(run.Strategy.Steps)
	switch run.State {
	case StateBuilding:
		return 2
	case StateProvisioning:
		return 5
	case StateHealthWait:
		return 10
	case StateShifting, StateAnalysing, StatePaused:
		return 15 + 70*run.Step/max(steps, 1)
	case StatePromoting:
		return 85
	case StateDraining:
		return 90
	case StateFinalising:
		return 95
	case StateSucceeded:
		return 100
	}
	return 0
}

// troubleTime is for how long a Deployer or a Router may fail before the run
// does.
const troubleTime = 30 * time.Second

// until looks after the service until done says so. Done may say until when
// there is nothing to look at, unless something changes.
func (r *runner) until(done func(v view) (bool, time.Time, error)) error {
	var trouble time.Time
	for {
		if err := r.forward(); err != nil {
			return err
		}
		v, err := r.look(r.way())
		if errors.Is(err, errRefused) && r.now.Back != nil && !r.now.Back.Moved {
			err = nil // what goes back leaves that split
		}
		if err != nil {
			if trouble.IsZero() {
				trouble = time.Now()
			}
			if r.leaves(err) || r.forward() != nil || time.Since(trouble) > troubleTime {
				return cmp.Or(r.forward(), err)
			}
			if err := r.pause(500 * time.Millisecond); err != nil {
				return err
			}
			continue
		}
		trouble = time.Time{}
		ok, next, err := done(v)
		if ok || err != nil {
			return err
		}
		if err := r.rest(v, next); err != nil {
			return err
		}
	}
}

// minReady is for how long a replica is to be ready: one that was there before
// has been.
func (r *runner) minReady() time.Duration {
	if !r.now.Made {
		return 0
	}
	return r.k.run.Strategy.MinReady
}
