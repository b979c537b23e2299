package firmware

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Gate may hold a run before its next step: nil lets it go on; an error holds
// it, with the error as Run.Reason, until the Gate lets it go on, or Apply or
// Cancel is called. It is asked again every minute and after every restart.
// What was held before it is installed is cancelled if the catalog has it no
// more by then. No Gate holds the way back, be it a Rollback or one from an image
// that was not confirmed. A maintenance window, a user's consent, a battery and a metered
// network are all Gates.
type Gate func(ctx context.Context, run Run, next Step) error

// Step is a part of a run that a Gate can hold.
type Step string

// The steps, in order.
const (
	StepPull    Step = "pull"
	StepInstall Step = "install" // activate the slot
	StepRestart Step = "restart"
)

// Window is a time of day in which a device may install and restart.
type Window struct {
	Start    time.Duration  // since midnight, by the clock on the wall; less than 24 hours
	Length   time.Duration  // default 1 hour; 1 minute to 24 hours
	Days     []time.Weekday // on which it starts; default: every day
	Location *time.Location // default time.Local
}

// none reports whether a Window is that of a Config which has none.
func (w Window) none() bool {
	return w.Start == 0 && w.Length == 0 && len(w.Days) == 0 && w.Location == nil
}

// check refuses a window that never opens.
func (w Window) check() error {
	switch w.Length = cmp.Or(w.Length, time.Hour); {
	case w.Start < 0 || w.Start >= 24*time.Hour:
		return fmt.Errorf("%w: Window.Start is %s, less than 24h is allowed", ErrInvalid, w.Start)
	case w.Length < gateInterval || w.Length > 24*time.Hour:
		return fmt.Errorf("%w: Window.Length is %s, %s to 24h are allowed", ErrInvalid, w.Length, gateInterval)
	}
	for _, day := range w.Days {
		if day < time.Sunday || day > time.Saturday {
			return fmt.Errorf("%w: Window.Days has %d, time.Sunday to time.Saturday are allowed", ErrInvalid, day)
		}
	}
	return nil
}

// Gate is a Gate that lets a run pull at any time, and install and restart
// only in the window: for a Gate that asks more than that. Config.Window is it.
func (w Window) Gate(ctx context.Context, run Run, next Step) error {
	if next == StepPull {
		return nil
	}
	if err := w.check(); err != nil {
		return err
	}
	w.Length = cmp.Or(w.Length, time.Hour)
	now := time.Now().In(cmp.Or(w.Location, time.Local))
	year, month, day := now.Date()
	for d := -1; ; d++ { // it opens within a week
		opens := time.Date(year, month, day+d, 0, 0, int(w.Start/time.Second), 0, now.Location())
		switch {
		case len(w.Days) > 0 && !slices.Contains(w.Days, opens.Weekday()), !now.Before(opens.Add(w.Length)):
		case now.Before(opens):
			return fmt.Errorf("the window opens on %s at %s", opens.Weekday(), opens.Format("15:04"))
		default:
			return nil
		}
	}
}

// both lets a run go on when a window and then a Gate do.
func both(w Window, gate Gate) Gate {
	if w.none() {
		return gate
	}
	return func(ctx context.Context, run Run, next Step) error {
		if err := w.Gate(ctx, run, next); err != nil {
			return err
		}
		return gate(ctx, run, next)
	}
}
