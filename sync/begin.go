package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// Start keeps the promise of Syncer.
func (f *Folder) Start(ctx context.Context, r Request) (Run, error) {
	if err := r.check(); err != nil {
		return Run{}, err
	}
	return f.begin(ctx, Run{Kind: KindSync, Request: r})
}

// begin takes the lease of the folder, records a run and works on it in the
// background. A request that came before has the run that it began then.
func (f *Folder) begin(ctx context.Context, run Run) (Run, error) {
	if err := fits("By.RequestID", run.Request.By.RequestID, maxText); err != nil {
		return Run{}, err
	}
	ctx, leave, err := f.door.Enter(ctx)
	if err != nil {
		return Run{}, err
	}
	defer leave()
	run.Request.By = run.Request.By.bounded()
	if earlier, found, err := f.records.byRequest(ctx, run.Request.By.RequestID); found || err != nil {
		return earlier, err
	}
	settings, err := f.settings(ctx)
	if err != nil {
		return Run{}, err
	}
	if run.Kind == KindSync && !settings.Enabled {
		return Run{}, ErrDisabled
	}
	if name := run.Request.Remote; name == "" {
		run.Request.Remote = settings.Remote
	} else if run.Request.Remote, err = f.named(ctx, name); err != nil {
		return Run{}, err
	}
	held, err := f.hold(ctx)
	if err != nil {
		return Run{}, err
	}
	handed := false
	defer func() { // also when the engine panics
		if !handed {
			f.release(held)
		}
	}()
	live, err := f.records.live(ctx)
	if err != nil {
		return Run{}, err
	}
	if live != nil { // its process is dead
		handed = true
		f.takeUp(held, *live)
		return Run{}, busy(*live)
	}
	if earlier, found, err := f.records.byRequest(ctx, run.Request.By.RequestID); found || err != nil {
		return earlier, err // the request came twice at once
	}
	run, err = f.record(ctx, held, run)
	if err != nil {
		return Run{}, err
	}
	handed = true
	f.work(held, run)
	return run, nil
}

func busy(run Run) error {
	err := ErrBusy
	if run.Boot {
		err = ErrBooting
	}
	return fmt.Errorf("%w: run %q is %s", err, run.ID, run.State)
}

// record writes a new run.
func (f *Folder) record(ctx context.Context, held *lease.Held, run Run) (Run, error) {
	n, err := f.records.newest(ctx)
	if err != nil {
		return Run{}, err
	}
	n++
	now := time.Now().UTC()
	run.ID, run.State, run.Owner = newRunID(n), StateRunning, held.Lease().Owner
	run.CreatedAt, run.UpdatedAt = now, now
	entries := []Entry{noted(runKey(n), run), noted(keyLast, n), {keyLive, []byte(run.ID)}, {Key: keyCancel}}
	if id := run.Request.By.RequestID; id != "" {
		entries = append(entries, Entry{requestKey(id), []byte(run.ID)})
	}
	if old := n - maxRuns; old > 0 {
		var gone Run
		if found, err := f.records.read(ctx, runKey(old), &gone); found && err == nil && gone.Request.By.RequestID != "" {
			entries = append(entries, Entry{Key: requestKey(gone.Request.By.RequestID)})
		}
		entries = append(entries, Entry{Key: runKey(old)})
	}
	run.Seq, err = f.records.write(ctx, held.Lease().Token, entries, Event{
		Kind: EventStarted, Run: run.ID, State: run.State, Actor: run.Request.By.Actor,
		Message: cut(string(run.Kind)+" "+run.Request.By.Reason, maxReason),
	})
	if err == nil {
		f.log(slog.LevelDebug, "begun", run)
	}
	return run, err
}

// hold takes the lease of the folder, or returns ErrBusy. Who only looks, or is
// dead, has it for a while: it is waited for, unless a run is live.
func (f *Folder) hold(ctx context.Context) (*lease.Held, error) {
	c := lease.HoldConfig{Owner: f.config.Owner, TTL: f.config.LockTTL, Line: &f.line}
	held, err := lease.Hold(ctx, f.config.Locker, f.item, c)
	if _, isHeld := errors.AsType[*lease.HeldError](err); !isHeld {
		return held, err
	}
	live, err := f.records.live(ctx)
	if err != nil {
		return nil, err
	}
	if live != nil {
		return nil, busy(*live)
	}
	waiting, done := context.WithTimeout(ctx, f.config.LockTTL+time.Second)
	defer done()
	c.Wait = true
	held, err = lease.Hold(waiting, f.config.Locker, f.item, c)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		err = fmt.Errorf("%w: somebody else works on the folder", ErrBusy)
	}
	return held, err
}

// release ends a lease, as long as it could keep others away.
func (f *Folder) release(held *lease.Held) { _ = f.door.Insist(f.config.LockTTL, held.Release) }

// holding calls use under the lease of the folder, while no run is live.
func (f *Folder) holding(ctx context.Context, use func(ctx context.Context, token int64) error) error {
	ctx, leave, err := f.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	held, err := f.hold(ctx)
	if err != nil {
		return err
	}
	handed := false
	defer func() { // also when the engine panics
		if !handed {
			f.release(held)
		}
	}()
	live, err := f.records.live(ctx)
	if live != nil { // its process is dead
		handed = true
		f.takeUp(held, *live)
		return busy(*live)
	}
	if err != nil {
		return err
	}
	ctx, done := context.WithCancelCause(ctx)
	defer done(nil)
	defer context.AfterFunc(held.Context(), func() { done(context.Cause(held.Context())) })()
	return use(ctx, held.Lease().Token)
}

// Wait keeps the promise of Syncer.
func (f *Folder) Wait(ctx context.Context, id string) (Run, error) {
	for {
		work, given := f.working(id) // before the record, which its end is in when there is none
		run, err := f.Get(ctx, id)
		switch {
		case err != nil:
			return run, err
		case work != nil:
		case run.State.Done():
			return run, run.Err()
		case given != nil:
			return run, given
		case f.door.Shut():
			return run, ErrClosed
		}
		if err := f.pauseFor(ctx, work); err != nil {
			return run, err
		}
	}
}

// waitInterval is how often Wait looks at a run of another process.
const waitInterval = 250 * time.Millisecond

// pauseFor waits for some time, or until this process works on the run no more.
func (f *Folder) pauseFor(ctx context.Context, work *runner) error {
	if work == nil {
		return f.door.Pause(ctx, waitInterval)
	}
	select {
	case <-work.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// working returns this process's work on a run, or why there is none any more.
func (f *Folder) working(id string) (work *runner, given error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live != nil && f.live.run.ID == id {
		return f.live, nil
	}
	return nil, f.given[id]
}

// Sync is Start and Wait.
func (f *Folder) Sync(ctx context.Context, r Request) (Run, error) {
	run, err := f.Start(ctx, r)
	if err != nil {
		return run, err
	}
	return f.Wait(ctx, run.ID)
}
