package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// errClosing stops a run between two steps because its Updater closes.
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

// create records the run and makes it one that this process works on.
func (r *runner) create() error {
	started := Event{Kind: EventStarted, Actor: r.run.Request.By.Actor, Message: cut(r.run.describe(), maxReason)}
	var stored Run
	err := r.retry(r.held.Context(), func(ctx context.Context) (err error) {
		stored, err = r.u.config.Journal.Create(ctx, r.run, started)
		return err
	})
	if errors.Is(err, ErrExists) && stored.ID == r.run.ID {
		err = nil // the reply of an earlier try was lost
	} else if errors.Is(err, ErrExists) {
		err = cmp.Or(stored.answers(r.run.Request, r.run.Undoes), errRepeated)
	}
	r.run = stored
	if err != nil {
		return err
	}
	r.u.register(r)
	r.u.log(slog.LevelInfo, "begun", stored)
	return nil
}

func (r Run) describe() string {
	text := fmt.Sprintf("bring %s from %q to %s", r.Package, r.From, r.Version)
	if r.Undoes != "" {
		text = fmt.Sprintf("take %s back from %s to %q", r.Package, r.From, r.Version)
	}
	return strings.TrimSuffix(text+": "+r.Request.By.Reason, ": ")
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

// release ends a lease. After an error, as of a full disk, it goes on trying as
// long as the lease could keep others away, or until the Updater closes. Only background
// work calls it.
func (u *Updater) release(held *lease.Held) error {
	err := held.Release()
	if err == nil {
		return nil
	}
	u.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), u.config.LockTTL)
		defer cancel()
		for pause, ended := 100*time.Millisecond, false; !ended; pause = min(2*pause, 5*time.Second) {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				ended = true
			case <-u.stopping:
				ended = true
			}
			timer.Stop()
			if held.Release() == nil {
				return
			}
		}
	})
	return err
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

// save writes the run as change makes it, with events and all notes that have
// gathered. It tries again until ctx ends, or for some seconds. When somebody
// else asked meanwhile to cancel the run, forwardContext ends.
func (r *runner) save(ctx context.Context, change func(*Run), events ...Event) error {
	select {
	case r.saving <- struct{}{}:
		defer func() { <-r.saving }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.mu.Lock()
	run, gathered := r.run, r.notes.take()
	r.copied = append(r.copied[:0], run.Steps...)
	run.Steps = r.copied
	r.mu.Unlock()
	change(&run)
	all := append(gathered.events(), events...)
	var stored Run
	err := r.retry(ctx, func(ctx context.Context) (err error) {
		stored, err = r.u.config.Journal.Save(ctx, run, all...)
		if errors.Is(err, ErrStale) {
			stored, err = r.reconcile(ctx, &run)
		}
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.notes.putBack(gathered)
		return err
	}
	change(&r.run)
	r.run.Rev, r.run.UpdatedAt, r.run.EndedAt = stored.Rev, stored.UpdatedAt, stored.EndedAt
	return nil
}

var (
	errAgain     = errors.New("update: the run has changed")
	errRepeated  = errors.New("update: the request came twice at once")
	errOvertaken = fmt.Errorf("%w: somebody else may act", lease.ErrLost)
)

// reconcile finds out why a save was refused: it had been made already and the
// reply was lost; or somebody asked to cancel the run, which run then learns;
// or another process has taken the run over.
func (r *runner) reconcile(ctx context.Context, run *Run) (Run, error) {
	stored, err := r.u.config.Journal.Get(ctx, run.ID)
	if err != nil {
		return stored, err
	}
	if stored.Token != run.Token {
		return stored, fmt.Errorf("%w: the run has another owner", errOvertaken)
	}
	if stored.Rev == run.Rev {
		return stored, fmt.Errorf("%w: the lock has another owner", errOvertaken)
	}
	if stored.Rev == run.Rev+1 && sameRecord(stored, *run) {
		return stored, nil
	}
	run.Rev, run.Cancel = stored.Rev, stored.Cancel
	r.noticeCancel(stored)
	return stored, errAgain
}

func sameRecord(a, b Run) bool {
	a.Rev, b.Rev = 0, 0
	a.UpdatedAt, b.UpdatedAt = time.Time{}, time.Time{}
	a.EndedAt, b.EndedAt = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// noticeCancel stops the way forward when somebody asked for that.
func (r *runner) noticeCancel(stored Run) {
	r.mu.Lock()
	if stored.Rev > r.run.Rev {
		r.run.Rev, r.run.Cancel = stored.Rev, stored.Cancel
	}
	r.mu.Unlock()
	if stored.Cancel != nil && r.forwardContext.Err() == nil {
		r.cancelForward(ErrCancelled)
	}
}

// retry calls f until it succeeds, fails for good, or has failed for some
// seconds: the network comes back, and a full disk may.
func (r *runner) retry(ctx context.Context, f func(context.Context) error) error {
	wait := 10 * time.Millisecond
	for {
		for _, alive := range []context.Context{r.held.Context(), ctx} {
			if err := context.Cause(alive); err != nil {
				return err
			}
		}
		err := f(ctx)
		switch {
		case err == nil, errors.Is(err, errOvertaken), errors.Is(err, ErrExists), errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid):
			return err
		case errors.Is(err, ErrStale):
			return chain(errOvertaken, err)
		case errors.Is(err, errAgain):
			continue
		case wait > 3*time.Second:
			return fmt.Errorf("%w: %w", errJournal, err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait *= 3
	}
}

// letGo records the outcomes so far, and that the run is left. A step that was
// ended in the middle has not been begun in vain: that attempt does not count.
func (r *runner) letGo() error {
	e := Event{Kind: EventStopped, Message: "the process " + r.held.Lease().Owner + " ends"}
	r.mu.Lock()
	begun := r.begun
	if begun >= 0 {
		e.Step, e.Phase = r.run.Steps[begun].Name, PhaseDoing
	}
	r.mu.Unlock()
	err := r.save(r.held.Context(), func(run *Run) {
		if begun >= 0 {
			run.Steps[begun].Attempt--
		}
	}, e)
	if err == nil {
		r.u.log(slog.LevelInfo, "left for the next process", r.snapshot())
	}
	return err
}

// flush writes notes once a second until stop closes, and looks whether
// somebody asked to cancel the run.
func (r *runner) flush(stop <-chan struct{}) {
	ticker := time.NewTicker(min(time.Second, r.u.config.LockTTL/3))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		// An error here is met again by the next save of the run itself.
		ctx := r.held.Context()
		r.mu.Lock()
		r.notes.age()
		pending, id, rev := r.notes.any(), r.run.ID, r.run.Rev
		r.mu.Unlock()
		if pending {
			_ = r.save(ctx, func(*Run) {})
		} else if stored, err := r.u.config.Journal.Get(ctx, id); err == nil && stored.Rev > rev {
			if r.held.Confirm() == nil { // else the lock was broken
				r.noticeCancel(stored)
			}
		}
	}
}
