package sync

import (
	"context"
	"io"
	"iter"
	"time"
)

// Remote is a flat store of immutable objects. Nothing is ever overwritten.
// Names are 1 to 512 bytes of [a-z0-9/_.-], without "..".
type Remote interface {
	// PutIfAbsent creates name with exactly the bytes of body, visible only
	// when whole. If it is there already, even with the same bytes, it
	// returns ErrExists. After any other error the outcome is unknown.
	PutIfAbsent(ctx context.Context, name string, body Body) error
	// Get reads n bytes from off; n < 0 means to the end. ErrNotFound.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
	// List yields the objects with the prefix and a greater name than after,
	// in byte order. It may be behind what was put; Get is not.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	// Delete removes an object. One that is gone is not an error.
	Delete(ctx context.Context, name string) error
	// Close ends the use of the Remote, not its contents. It may be called twice.
	Close() error
}

// Body is what is put. It can be read more than once.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Object describes an object of a Remote.
type Object struct {
	Name string
	Size int64
	Time time.Time // when it was put, by the remote's clock
}
