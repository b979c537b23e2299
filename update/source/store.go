package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
)

// Store keeps what a Manifest must remember to know an old one again: a few
// hundred bytes. Who can delete it can make the program forget.
type Store interface {
	// Update calls change with what is kept, nil for nothing, and keeps what
	// it returns. That is durable when Update returns; what is the same need not
	// be written. An error of change is returned as it is, and changes nothing.
	// One call at a time runs, of all that share the state, in whichever process.
	Update(ctx context.Context, change func(kept []byte) ([]byte, error)) error
}

// StateFile is a Store in the file of this name. Its folder must exist. Beside
// it is an empty file, of the same name with ".lock" at the end, by which
// processes take turns; a process that dies holds up nobody. Systems without
// such locks get errors.ErrUnsupported.
type StateFile string

var _ Store = StateFile("")

// maxState bounds how much a StateFile may hold.
const maxState = 1 << 20

// lockInterval is how often somebody who waits for a lock looks.
const lockInterval = 10 * time.Millisecond

// Update implements Store.
func (s StateFile) Update(ctx context.Context, change func(kept []byte) ([]byte, error)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("locking %s: %w", string(s), err)
	}
	defer unlock()
	kept, err := s.read()
	if err != nil {
		return err
	}
	next, err := change(bytes.Clone(kept))
	if err != nil || bytes.Equal(kept, next) {
		return err
	}
	if err := durable.Write(string(s), next, 0o600); err != nil {
		return fmt.Errorf("keeping the state of a manifest: %w", err)
	}
	return nil
}

func (s StateFile) read() ([]byte, error) {
	f, err := os.Open(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of a manifest: %w", err)
	}
	defer f.Close()
	kept, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err == nil && len(kept) > maxState {
		err = fmt.Errorf("source: more than %d bytes", maxState)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of a manifest: %w", err)
	}
	return kept, nil
}

// lock waits until nobody else has the lock.
func (s StateFile) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(string(s)+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		free, err := tryLock(f)
		if free {
			return func() { _ = f.Close() }, nil // which ends the lock
		}
		if err == nil {
			select {
			case <-ctx.Done():
				err = context.Cause(ctx)
			case <-time.After(lockInterval):
				continue
			}
		}
		return nil, errors.Join(err, f.Close())
	}
}
