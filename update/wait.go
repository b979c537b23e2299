package update

import (
	"context"
	"time"
)

// waitInterval is how often Wait looks at a run of another process.
const waitInterval = 250 * time.Millisecond

// pause waits for d or the end of ctx, unless the Updater is closed.
func (u *Updater) pause(ctx context.Context, d time.Duration) error {
	if u.door.Shut() {
		return ErrClosed
	}
	return pause(ctx, d)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// rest waits for some time between two looks at runs that were left, until ctx
// ends or the Updater closes.
func (u *Updater) rest(ctx context.Context) error {
	timer := time.NewTimer(min(5*time.Second, u.config.LockTTL/3))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-u.door.Stopping():
		return ErrClosed
	case <-timer.C:
		return nil
	}
}
