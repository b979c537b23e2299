package rollout

import "context"

// Pause holds the run at its step. A revision that fails still goes back.
func (c *Controller) Pause(ctx context.Context, id string, by By) error { panic("to come") }

// Resume lets a run go on that is paused at step, a Run.Step, whatever paused
// it. It returns ErrStale if it is not paused there, so that nobody ends a pause
// that they have not seen.
func (c *Controller) Resume(ctx context.Context, id string, step int, by By) error { panic("to come") }

// Promote skips the steps that are left.
func (c *Controller) Promote(ctx context.Context, id string, by By) error { panic("to come") }

// Cancel gives the stable revision its capacity back, then its traffic, and
// then removes the new one. It returns once that is recorded, and wins against
// every other wish, in every state before StateSucceeded; cancelling a run that
// is done is not an error.
func (c *Controller) Cancel(ctx context.Context, id string, by By) error { panic("to come") }
