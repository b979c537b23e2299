package update

import (
	"context"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// waitInterval is how often Wait looks at a run of another process.
const waitInterval = 250 * time.Millisecond

// rest waits for some time between two looks at runs that were left, until ctx
// ends or the Updater closes.
func (u *Updater) rest(ctx context.Context) error {
	ctx, done := u.untilClosed(ctx)
	defer done()
	return pause.For(ctx, min(5*time.Second, u.config.LockTTL/3))
}

// untilClosed returns a context that ends with ErrClosed when the Updater
// closes.
func (u *Updater) untilClosed(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(u.door.Stopping(), func() { cancel(ErrClosed) })
	return ctx, func() {
		release()
		cancel(nil)
	}
}
