package firmware

import (
	"context"
	"io"
)

// Slots are the two places for an image: one runs, the other is written. Every
// call is idempotent, and what it has returned is durable. Package firmwaretest
// checks implementations.
type Slots interface {
	// Pair returns what both slots hold. An error means that nobody can tell
	// what would start: the device is unavailable, and nothing is written.
	Pair(ctx context.Context) (Pair, error)
	// Open opens the other slot for the image of r, with what an interrupted
	// install of the same image left in it. Before a byte of another image can
	// be lost the slot's record is emptied: it is not whole. ErrNoSpace, as a
	// *SpaceError, if the image does not fit; ErrTooLate while the running image
	// is not confirmed; ErrUnavailable while the slot is in use elsewhere.
	Open(ctx context.Context, r Release) (File, error)
	// Activate makes the next start try the other slot, for this run. The slot
	// is whole from now on: the caller has read r back from it. A slot that was
	// tried for this run is not tried again. ErrTooLate if it was not opened for r.
	Activate(ctx context.Context, r Release, run string) error
	// Confirm makes the running slot the one to start from, and takes back what
	// was activated and did not start.
	Confirm(ctx context.Context) error
	// Revert makes the other slot the one to start from, if it is whole and
	// was confirmed when it ran, else it returns ErrTooLate.
	Revert(ctx context.Context) error
	// Base opens the running image for reading, or returns ErrNotFound.
	Base(ctx context.Context) (Image, error)
}

// Pair is what the two slots hold.
type Pair struct {
	Running, Other Slot
	Confirmed      bool // Running is the slot to start from
	Armed          bool // the next start tries Other
	// Start tells this start of the device from every other one, such as the
	// boot id of a kernel. Without one, a Reboot that has returned is taken for
	// a start of the device.
	Start string
}

// Slot is what one slot holds. What a factory wrote may have no record: then
// Version and Digest are zero.
type Slot struct {
	Version string
	Epoch   int64
	Digest  [32]byte
	Whole   bool   // it can be started
	Run     string // that it was last activated for
	Tries   int    // starts since then
}

// File is a slot open for writing. An *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
}

// Image is a slot open for reading.
type Image interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
