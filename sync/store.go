package sync

import (
	"context"
	"fmt"
	"iter"

	"github.com/upkeep-go/upkeep/lease"
)

// Store is what a Folder needs of an engine; every engine is one. The lease is
// on lease.Item("sync", the folder's name).
type Store interface {
	Locker() lease.Locker
	SyncState(folder string) FolderStore
}

// FolderStore is what one device notes about one folder: scan cache, base,
// journal, runs, the keys. Their form is this package's business; an engine
// keeps bytes and events. What a call has acknowledged is durable. A call whose
// context has ended does nothing. Implementations are safe for concurrent use.
// Package syncertest checks them.
type FolderStore interface {
	// Update writes entries and appends events, all or none, and returns the Seq
	// of the last event that it wrote, or 0. It returns ErrStale if a greater
	// token has written before. Token 0 is for the wishes of those who do not
	// hold the folder's lease: it asks for nothing, and leaves the token that has
	// written. A key of more than 4 KiB, one of no bytes, a value of more than
	// 64 MiB and a negative token are ErrInvalid. Of a key that is there twice the
	// last counts.
	Update(ctx context.Context, token int64, entries []Entry, events ...Event) (seq int64, err error)
	// Get returns the value of an entry, which is the caller's, or ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// List yields the entries whose key has the prefix, in byte order, all of
	// one moment. The values are the caller's.
	List(ctx context.Context, prefix string) iter.Seq2[Entry, error]
	// Watch keeps the promise of Syncer.Watch. The engine gives each event its
	// Seq and Time when it is written. An event whose contents cannot be read any
	// more is an EventCorrupt.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// Entry is one note. In an Update a nil Value removes it; one of no bytes is
// kept as such.
type Entry struct {
	Key   string // any bytes
	Value []byte
}

// What one entry has at most, in bytes.
const (
	maxKey   = 4 << 10
	maxValue = 64 << 20
)

// CheckUpdate is ErrInvalid for a token or entries that no FolderStore writes.
func CheckUpdate(token int64, entries []Entry) error {
	if token < 0 {
		return fmt.Errorf("%w: a negative token: %d", ErrInvalid, token)
	}
	for _, e := range entries {
		switch {
		case e.Key == "":
			return fmt.Errorf("%w: an entry without a key", ErrInvalid)
		case len(e.Key) > maxKey:
			return fmt.Errorf("%w: key %.80q of %d bytes, more than %d", ErrInvalid, e.Key, len(e.Key), maxKey)
		case len(e.Value) > maxValue:
			return fmt.Errorf("%w: value of %.80q of %d bytes, more than %d", ErrInvalid, e.Key, len(e.Value), maxValue)
		}
	}
	return nil
}
