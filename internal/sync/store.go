package sync

import (
	"context"
	"iter"
)

// FolderStore is what one device notes about one folder: scan cache, base,
// journal, the key. Their form is this package's business; an engine keeps bytes.
// What a call has acknowledged is durable. Implementations are safe for
// concurrent use.
type FolderStore interface {
	// Update writes entries, all or none. It returns ErrStale unless no greater
	// token has written.
	Update(ctx context.Context, token int64, entries []Entry) error
	// List yields the entries whose key has the prefix, in byte order, all of
	// one moment.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]
}

// Entry is one note. In an Update a nil Value removes it.
type Entry struct {
	Key   string
	Value []byte
}
