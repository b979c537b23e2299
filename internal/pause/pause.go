// Package pause waits for some time, and no longer than a context lasts.
package pause

import (
	"context"
	"time"
)

// For waits for d. If ctx ends first, or has ended, it returns the cause.
//
// Nothing to wait for takes no timer: where time is faked, one that is due at
// once may crash the race detector of Go 1.26 (golang.org/issue/78156).
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return context.Cause(ctx)
}
