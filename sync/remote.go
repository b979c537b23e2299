package sync

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Remote is a flat store of immutable objects. Nothing is ever overwritten. Every
// name for which CheckName has no error can be put, and "a", "a.b" and "a/b" at
// the same time; any other is ErrInvalid.
//
// A call whose context has ended does nothing and returns the context's error,
// one of a Remote that was closed ErrClosed. Implementations are safe for
// concurrent use, and by many processes when their state lives outside the
// process. Package syncertest checks them.
type Remote interface {
	// PutIfAbsent creates name with exactly the bytes of body, visible only
	// when whole, and then durable. If it is there already, even with the same
	// bytes, it returns ErrExists: of many puts of a name one at most does not.
	// A body that has less than its size, that fails, or during which the context
	// ends, puts nothing. After any other error the outcome is unknown.
	PutIfAbsent(ctx context.Context, name string, body Body) error
	// Get reads n bytes from off, or what there is of them; n < 0 means to the
	// end. A negative off is ErrInvalid. It reads what was put before it by
	// anybody, or returns ErrNotFound. The context is that of the reading, too.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
	// List yields the objects with the prefix and a greater name than after,
	// in byte order: once each those that are there all the while. It may be
	// behind what was put or deleted; Get is not. It can be read again.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	// Delete removes an object, whose name can then be put again. One that is
	// gone is not an error.
	Delete(ctx context.Context, name string) error
	// Close ends the use of the Remote, not its contents. It may be called twice.
	Close() error
}

// Body is what is put. It can be read more than once and by many at a time, until
// the put returns.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Object describes an object of a Remote.
type Object struct {
	Name string
	Size int64
	// Time is when it was put, by the remote's clock. It does not fall from one
	// put to the next, unless that clock does.
	Time time.Time
}

// maxName is how many bytes the name of an object has at most.
const maxName = 512

// CheckName is ErrInvalid for what is no name of an object: that is 1 to 512 bytes
// of [a-z0-9/_.-], of which no part between slashes is empty, "." or "..".
func CheckName(name string) error {
	sound := len(name) <= maxName
	for part := range strings.SplitSeq(name, "/") {
		sound = sound && part != "" && part != "." && part != ".."
	}
	for i := range len(name) {
		c := name[i]
		sound = sound && ('a' <= c && c <= 'z' || '-' <= c && c <= '9' || c == '_') // - . / and digits are neighbours
	}
	if !sound {
		return fmt.Errorf("%w: name of an object: %q", ErrInvalid, name)
	}
	return nil
}
