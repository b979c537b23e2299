package sync

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

const (
	quietFor     = 2 * time.Second // without another Nudge
	firstBackOff = 5 * time.Second
	maxBackOff   = time.Hour
)

// Nudge says that something has changed on either side: Run syncs after 2
// seconds without another Nudge, and back-off begins anew. It never waits.
func (f *Folder) Nudge() {
	select {
	case f.nudged <- struct{}{}:
	default: // there is one already
	}
}

// Run syncs now, at every Interval and after Nudge, after a failure within an hour,
// and the later the more of them there were, takes
// up what a dead process has left, and compacts by Retain, until ctx ends or the
// Folder closes; it returns the error that says which. Its first sync is the boot
// sync. What fails is logged and tried again.
func (f *Folder) Run(ctx context.Context) error {
	failures, told := 0, ""
	for boot := true; ; boot = false {
		err := f.round(ctx, boot)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		wait := jittered(f.config.Interval)
		switch {
		case err == nil:
			failures, told = 0, ""
		case f.door.Shut():
			return ErrClosed
		default:
			wait = backOff(failures)
			failures++
			if text := err.Error(); text != told {
				told = text
				f.config.Logger.ErrorContext(ctx, "sync: not done", "folder", f.config.Name, "err", err)
			}
		}
		nudged, err := f.await(ctx, wait)
		if err != nil {
			return err
		}
		if nudged {
			failures = 0
		}
	}
}

// jittered is a tenth more or less, so that many devices do not come at once.
func jittered(d time.Duration) time.Duration {
	d = min(d, math.MaxInt64/2) // which is never, too
	return d - d/10 + rand.N(d/5+1)
}

// backOff is how long to wait after so many failures: anything up to a limit that
// doubles.
func backOff(failures int) time.Duration {
	most := maxBackOff
	if failures < 10 {
		most = min(most, firstBackOff<<failures)
	}
	return firstBackOff/2 + rand.N(most)
}

// await waits for some time, or until somebody nudges, and then until it is quiet.
func (f *Folder) await(ctx context.Context, wait time.Duration) (nudged bool, err error) {
	ctx, done := f.door.Until(ctx)
	defer done()
	waiting, enough := context.WithTimeout(ctx, wait)
	defer enough()
	select {
	case <-waiting.Done():
		return false, context.Cause(ctx)
	case <-f.nudged:
	}
	for {
		quiet, again := context.WithTimeout(ctx, quietFor)
		select {
		case <-quiet.Done():
			again()
			return true, context.Cause(ctx)
		case <-waiting.Done(): // it is never quiet
			again()
			return true, context.Cause(ctx)
		case <-f.nudged:
			again()
		}
	}
}

// round does what there is to do now.
func (f *Folder) round(ctx context.Context, boot bool) error {
	if err := f.tellLate(ctx); err != nil {
		return err
	}
	settings, err := f.settings(ctx)
	if err != nil {
		return err
	}
	live, err := f.records.live(ctx)
	if err == nil && live != nil {
		err = f.goOn(ctx, live)
	}
	if err != nil {
		return err
	}
	if !settings.Enabled {
		return nil
	}
	if err := f.passes(ctx); err != nil {
		return nil // it stands in Status
	}
	run, err := f.begin(ctx, Run{Kind: KindSync, Boot: boot, Request: Request{By: By{Actor: "schedule"}}})
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrDisabled) {
		return nil // somebody else was faster
	}
	if err != nil {
		return err
	}
	if _, err = f.Wait(ctx, run.ID); err != nil {
		return err
	}
	return f.forgets(ctx)
}

// goOn waits for the live run, and takes it up if nobody works on it.
func (f *Folder) goOn(ctx context.Context, live *Run) error {
	for {
		err := f.holding(ctx, func(context.Context, int64) error { return nil })
		if err != nil && !errors.Is(err, ErrBusy) {
			return err
		}
		if work, _ := f.working(live.ID); work != nil {
			_, err := f.Wait(ctx, live.ID)
			return err
		}
		run, err := f.Get(ctx, live.ID)
		if err != nil || run.State.Done() {
			return err
		}
		if err := f.door.Pause(ctx, min(5*time.Second, f.config.LockTTL/3)); err != nil {
			return err
		}
	}
}

// passes asks the Gate, and notes why it leaves a sync out.
func (f *Folder) passes(ctx context.Context) error {
	err := f.config.Gate(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate = ""; err != nil {
		f.gate = cut(err.Error(), maxReason)
	}
	return err
}
