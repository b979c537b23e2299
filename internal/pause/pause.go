// Package pause waits for some time, and no longer than a context lasts.
package pause

import (
	"context"
	"time"
)

// For waits for d. If ctx ends first, or has ended, it returns the cause.
func For(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return context.Cause(ctx)
}
