package durable

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/upkeep-go/upkeep/internal/owned"
)

// Region is a file or a block device that is written in place. It does not
// grow: a write that would reach beyond its end writes nothing.
type Region interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes durable what was written. What is read then comes from the
	// medium, where the system allows: also what a Sync that failed has lost.
	Sync() error
	Size() int64
	Close() error
}

// OpenRegion opens the file or block device at path, which must be no link, nor
// one that others could change: see package owned. An exclusive one that is
// a block device is refused on Linux as long as anybody uses it, such as a file
// system that is mounted from it, and nobody can mount it before it is closed.
func OpenRegion(path string, exclusive bool) (Region, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("durable: %q is neither a file nor a block device", path)
	}
	flags := os.O_RDWR
	if exclusive && info.Mode()&fs.ModeDevice != 0 {
		flags |= os.O_EXCL // which says nothing of files
	}
	f, err := owned.Open(path, flags, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd) // by Stat devices have none
	if err != nil {
		f.Close()
		return nil, err
	}
	return region{f, size}, nil
}

type region struct {
	*os.File
	size int64
}

func (r region) Size() int64 { return r.size }

func (r region) Sync() error {
	defer Forget(r.File)
	return r.File.Sync()
}

func (r region) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > r.size-int64(len(p)) {
		return 0, fmt.Errorf("durable: %d bytes at %d do not fit into %q, which has %d", len(p), off, r.Name(), r.size)
	}
	return r.File.WriteAt(p, off)
}
