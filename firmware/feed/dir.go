package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/upkeep-go/upkeep/firmware"
)

var _ firmware.Feed = Dir("")

// Dir reads the objects of a folder, and nothing outside of it.
type Dir string

// Get implements firmware.Feed. An object that is shorter than what is asked
// for is firmware.ErrCorrupt.
func (d Dir) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", firmware.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: object %q is not a file", firmware.ErrInvalid, name)
	}
	if err == nil {
		if n < 0 {
			n = info.Size() - off
		}
		if off < 0 || n < 0 || n > info.Size()-off {
			err = fmt.Errorf("%w: object %q has %d bytes, %d from %d are wanted", firmware.ErrCorrupt, name, info.Size(), n, off)
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return section{io.NewSectionReader(f, off, n), f}, nil
}

// section is a part of a file.
type section struct {
	*io.SectionReader
	io.Closer
}
