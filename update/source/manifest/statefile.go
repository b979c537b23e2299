package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/filelock"
)

// StateStore keeps what a Source must remember to know an old manifest again:
// a few hundred bytes, a [State]. Who can delete it can make the program forget.
type StateStore interface {
	// Update calls change with what is kept, nil for nothing, and keeps what
	// it returns. That is durable when Update returns; what is the same need not
	// be written. An error of change is returned as it is, and changes nothing.
	// One call at a time runs, of all that share the state, in whichever process.
	Update(ctx context.Context, change func(kept []byte) ([]byte, error)) error
}

// StateFile is a StateStore in the file of this name. Its folder must exist.
// Beside it is an empty file, of the same name with ".lock" at the end, by which
// processes take turns; a process that dies holds up nobody.
type StateFile string

var _ StateStore = StateFile("")

// maxState bounds how much a StateFile may hold.
const maxState = 1 << 20

// Update implements StateStore.
func (s StateFile) Update(ctx context.Context, change func(kept []byte) ([]byte, error)) error {
	release, err := filelock.Acquire(ctx, string(s)+".lock")
	if err != nil {
		return fmt.Errorf("keeping the state of a manifest: %w", err)
	}
	defer release()
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
		err = fmt.Errorf("manifest: more than %d bytes", maxState)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of a manifest: %w", err)
	}
	return kept, nil
}
