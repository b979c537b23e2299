package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// runner works on the live run under the lease of the folder.
type runner struct {
	f    *Folder
	held *lease.Held
	gone chan struct{} // closed when this process works on the run no more

	ctx    context.Context // ends with the lease, and when the run is cancelled or the Folder closes
	cancel context.CancelCauseFunc

	run    Run       // the work's own, but for its ID
	told   time.Time // when the last event of progress was written
	from   int       // percent, when the step began
	logged int       // events of EventRetry
	taken  bool      // up, from a process that is dead
}

// work brings a run to its end in the background.
func (f *Folder) work(held *lease.Held, run Run) { f.start(held, run, false) }

// takeUp goes on with a run whose process is dead.
func (f *Folder) takeUp(held *lease.Held, run Run) { f.start(held, run, true) }

func (f *Folder) start(held *lease.Held, run Run, taken bool) {
	r := &runner{f: f, held: held, run: run, gone: make(chan struct{}), taken: taken}
	ctx, cancel := context.WithCancelCause(held.Context())
	r.ctx, r.cancel = lease.Watchful(ctx), cancel
	f.mu.Lock()
	f.live, f.given = r, nil
	f.mu.Unlock()
	f.door.Go(r.work)
}

func (r *runner) work() {
	defer r.cancel(nil)
	defer context.AfterFunc(r.f.door.Ending(), func() { r.cancel(errClosing) })()
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(stop) })
	err := r.recovered()
	if err == nil {
		err = r.settle(r.act())
	}
	close(stop)
	watching.Wait()
	r.leave(err)
}

// recovered notes that the run is somebody else's now.
func (r *runner) recovered() error {
	if !r.taken {
		return nil
	}
	message := "left by the process " + r.run.Owner
	r.run.Owner = r.held.Lease().Owner
	r.f.log(slog.LevelInfo, "taken up", r.run)
	return r.write(Event{Kind: EventRecovered, Message: message})
}

// act does what the run is for.
func (r *runner) act() error {
	e, done, err := r.f.engineOf(r.ctx, r.run.Request, r.held.Lease().Token, r)
	if err != nil {
		return err
	}
	defer done()
	return r.acts(e)
}

func (r *runner) acts(e *engine) error {
	switch r.run.Kind {
	case KindSync:
		result, err := e.Sync(r.ctx, r.run.Request)
		if err == nil {
			r.count(result)
			err = r.f.present(r.ctx, r.held.Lease().Token, r.run.Request.Remote, result)
		}
		return err
	case KindRestore:
		result, err := e.Restore(r.ctx, *r.run.Restore)
		r.count(result)
		if err == nil && len(result.Problems) > 0 {
			err = r.f.lacks(r.ctx, r.held.Lease().Token, r.run.Request.Remote, result.Problems)
		}
		return err
	case KindRepair:
		result, err := e.Repair(r.ctx, r.run.Request.By)
		r.count(result)
		return err
	case KindCompact:
		done, err := e.Compact(r.ctx, *r.run.Keep, r.run.Request.By)
		r.run.Compaction = &done
		return err
	}
	return fmt.Errorf("%w: a run of kind %q", ErrInvalid, r.run.Kind)
}

func (r *runner) count(result engineResult) {
	r.run.Commit, r.run.Conflicts = result.Commit, len(result.Conflicts)
	r.run.Uploaded, r.run.Downloaded, r.run.Deleted = int(result.Uploaded), int(result.Downloaded), int(result.Deleted)
}

// settle writes the outcome of the run, unless it is left for somebody else.
func (r *runner) settle(err error) error {
	cause := context.Cause(r.ctx)
	switch {
	case errors.Is(cause, ErrCancelled) && err != nil:
		reason := ErrCancelled.Error()
		if by, _ := r.f.cancelled(r.held.Context(), r.run.ID); by != nil {
			r.run.Cancel, reason = by, by.String()
		}
		return r.end(StateCancelled, reason, "")
	case errors.Is(cause, errClosing) && err != nil:
		return errClosing
	case r.held.Context().Err() != nil:
		return errors.Join(errOvertaken, err)
	case err != nil:
		return r.end(StateFailed, err.Error(), causes.Of(err))
	}
	r.run.Percent = 100
	return r.end(StateSucceeded, "", "")
}

// end writes the outcome.
func (r *runner) end(state State, reason, cause string) error {
	r.run.State, r.run.Reason, r.run.Cause = state, cut(reason, maxReason), cause
	r.run.EndedAt = time.Now().UTC()
	id := []byte(r.run.ID)
	return r.writes([]Entry{{Key: keyLive}, {Key: keyCancel}, {keyUntold + r.run.ID, id}}, Event{Kind: EventEnded, Message: r.run.Reason})
}

// write writes the run as it is, with an event.
func (r *runner) write(e Event) error { return r.writes(nil, e) }

func (r *runner) writes(more []Entry, e Event) error {
	ctx, done := quiet(r.held.Context())
	defer done()
	r.run.UpdatedAt = time.Now().UTC()
	e.Run, e.State, e.Step, e.Percent, e.Progress = r.run.ID, r.run.State, r.run.Step, r.run.Percent, r.run.Progress
	entries := append([]Entry{noted(runKey(numberOf(r.run.ID)), r.run)}, more...)
	_, err := r.f.records.write(ctx, r.held.Lease().Token, entries, e)
	if errors.Is(err, ErrStale) {
		err = fmt.Errorf("%w: %w", errOvertaken, err)
		r.cancel(err)
	}
	return err
}

// quiet is a context for what must be written soon whatever becomes of the work,
// but not by a holder that lost the lease.
func quiet(held context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(held, 30*time.Second)
}

// leave ends the work, and tells who wants to know of it.
func (r *runner) leave(err error) {
	f := r.f
	if err != nil && !errors.Is(err, ErrClosed) {
		f.log(slog.LevelError, "given up", r.run, "err", err)
	}
	f.release(r.held)
	f.mu.Lock()
	if f.live == r { // else there is another run already
		f.live = nil
	}
	if err != nil {
		f.given = map[string]error{r.run.ID: err}
	}
	f.mu.Unlock()
	if err == nil {
		f.tell(r.run)
	}
	close(r.gone)
}

// watch looks once a second for a wish that the run stops.
func (r *runner) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if by, err := r.f.cancelled(r.ctx, r.run.ID); err == nil && by != nil {
			r.cancel(ErrCancelled)
			return
		}
		select {
		case <-stop:
			return
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
