package sync

import (
	"context"
	"iter"
)

// Remotes are named remotes: the cloud directories of the document. A name is 1
// to 63 bytes of UTF-8 of any script, for which CheckRemoteName has no error; names
// that fold to one are refused. Implementations are safe for concurrent use.
// Package syncertest checks them.
type Remotes interface {
	// Open returns a remote, which the caller closes, or ErrNotFound.
	Open(ctx context.Context, name string) (Remote, error)
	// List yields the names in byte order.
	List(ctx context.Context) iter.Seq2[string, error]
	// Create makes one, or returns ErrExists if there is one whose name folds to
	// the same, and ErrInvalid for what is no name.
	Create(ctx context.Context, name string) error
	// Remove deletes one with everything in it. One that is gone is not an error.
	Remove(ctx context.Context, name string) error
}
