// Package filelock lets one process at a time into a section that a file
// stands for. The lock ends with its process.
package filelock

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// interval is how often somebody who waits looks.
const interval = 10 * time.Millisecond

// Acquire makes the file, with mode 0600, if it is not there, and waits for
// its lock until ctx ends. The file stays. Release ends the lock.
func Acquire(ctx context.Context, path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Lock(ctx, f); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return f.Close, nil
}

// Lock waits for the lock of an open file until ctx ends. That f is closed ends
// the lock.
func Lock(ctx context.Context, f *os.File) error {
	for {
		locked, err := try(f)
		if locked {
			return nil
		}
		if err == nil {
			err = pause.For(ctx, interval)
		}
		if err != nil {
			return err
		}
	}
}
