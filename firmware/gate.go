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
// more by then. A maintenance window, a user's consent, a battery and a metered
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
	Start    time.Duration  // since midnight, by the clock on the wall
	Length   time.Duration  // default 1 hour, at most 24 hours
	Days     []time.Weekday // on which it starts; default: every day
	Location *time.Location // default time.Local
}

// Gate is a Gate that lets a run pull at any time, and install and restart
// only in the window.
func (w Window) Gate(ctx context.Context, run Run, next Step) error {
	if next == StepPull {
		return nil
	}
	w.Length = cmp.Or(w.Length, time.Hour)
	if w.Start < 0 || w.Start >= 24*time.Hour || w.Length < 0 || w.Length > 24*time.Hour {
		return fmt.Errorf("the window of %s from %s on is none", w.Length, w.Start)
	}
	now := time.Now().In(cmp.Or(w.Location, time.Local))
	year, month, day := now.Date()
	for d := -1; d <= 7; d++ {
		opens := time.Date(year, month, day+d, 0, 0, int(w.Start/time.Second), 0, now.Location())
		switch {
		case len(w.Days) > 0 && !slices.Contains(w.Days, opens.Weekday()), !now.Before(opens.Add(w.Length)):
		case now.Before(opens):
			return fmt.Errorf("the window opens on %s at %s", opens.Weekday(), opens.Format("15:04"))
		default:
			return nil
		}
	}
	return fmt.Errorf("the window never opens")
}
