package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// errClosing ends the work on a run because its Updater closes.
var errClosing = fmt.Errorf("%w: the run is left for Recover", ErrClosed)

// runner works on one run under a lease.
type runner struct {
	u    *Updater
	p    *Package
	held *lease.Held

	weights []int // of each step
	total   int   // of them

	gone    chan struct{} // closed when this process works on the run no more
	failure error         // why the run is not done; set before gone closes

	forwardContext context.Context // ends with the lease, and when the run is cancelled
	cancelForward  context.CancelCauseFunc

	saving chan struct{} // one save at a time
	copied []StepRecord  // the steps that the save under way writes

	mu    sync.Mutex
	run   Run // as it will be once notes are saved
	notes notes
	sign  time.Time // last sign of life of the step under way
	base  int       // weight of the steps that are done before it
	step  *Step     // under way
	ends  bool      // the run's outcome is being written
	final bool      // the run has passed its point of no return
	begun int       // the step whose Do has begun here and has no outcome yet, or -1
}

func (u *Updater) newRunner(p *Package, held *lease.Held, run Run) *runner {
	r := &runner{
		u: u, p: p, held: held, run: run, final: p.beyondReturn(run), begun: -1,
		gone: make(chan struct{}), saving: make(chan struct{}, 1),
	}
	for _, rec := range run.Steps {
		w := rec.Weight
		if s := p.find(rec.Name); w == 0 && s != nil {
			w = s.weight()
		}
		r.weights = append(r.weights, max(w, 1))
		r.total += max(w, 1)
	}
	ahead, cancel := context.WithCancelCause(held.Context())
	r.forwardContext, r.cancelForward = lease.Watchful(ahead), cancel
	if run.Cancel != nil {
		r.cancelForward(ErrCancelled)
	}
	return r
}

// snapshot returns the run as it stands.
func (r *runner) snapshot() Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.Clone()
}

func (u *Updater) register(r *runner) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.live[r.run.ID] = r
}

// finish works on r's run, releases the lock and tells who wants to know of it
// and of the runs that were settled before. A run whose lease was lost is
// taken up again if nobody else has.
func (u *Updater) finish(r *runner, settled []*runner) {
	r.failure = r.work()
	if r.failure != nil && !r.lost() && !errors.Is(r.failure, errClosing) {
		u.log(slog.LevelError, "run was given up", r.snapshot(), "err", r.failure)
	}
	if err := u.release(r.held); err != nil {
		u.log(slog.LevelWarn, "lock not released", r.snapshot(), "err", err)
	}
	u.forget(r)
	u.report(append(settled, r)...)
	if r.lost() {
		u.takeUpAgain(r)
	}
}

// release ends a lease, and goes on trying, as after a full disk, as long as it
// could keep others away. Only background work calls it.
func (u *Updater) release(held *lease.Held) error {
	return u.door.Insist(u.config.LockTTL, held.Release)
}

// lost reports that the work ended with the lease, and nothing of it goes on.
func (r *runner) lost() bool {
	return errors.Is(r.failure, errOvertaken) && !errors.Is(r.failure, errAbandoned)
}

// forget makes r's run one that this process does not work on.
func (u *Updater) forget(r *runner) {
	r.cancelForward(context.Canceled)
	u.mu.Lock()
	delete(u.live, r.run.ID)
	u.mu.Unlock()
	close(r.gone)
}

// report tells of the runs that have ended. Their lock is free.
func (u *Updater) report(runners ...*runner) {
	for _, r := range runners {
		if r.failure != nil {
			continue
		}
		run := r.snapshot()
		u.logEnd(run)
		u.config.OnFinish(run)
	}
}
