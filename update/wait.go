package update

import (
	"context"
	"time"
)

// waitInterval is how often Wait looks at a run of another process.
const waitInterval = 250 * time.Millisecond

// rest waits for some time between two looks at runs that were left, until ctx
// ends or the Updater closes.
func (u *Updater) rest(ctx context.Context) error { return u.door.Pause(ctx, u.restTime()) }

func (u *Updater) restTime() time.Duration { return min(5*time.Second, u.config.LockTTL/3) }
