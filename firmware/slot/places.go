package slot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// machine is the disk of this machine.
type machine struct{}

func (machine) open(path string) (region, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return measured(f)
}

func (machine) create(path string, data []byte) error { return durable.Write(path, data, 0o600) }

// file is a file or a device whose size was found by looking for its end, as
// that of a device has to be.
type file struct {
	*os.File
	size int64
}

func measured(f *os.File) (*file, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f, size}, nil
}

func (f *file) Size() int64 { return f.size }

// Sync makes durable what was written. What is read from now on comes from the
// medium, where the system allows: also what a failed Sync has not written.
func (f *file) Sync() error {
	err := f.File.Sync()
	forget(f.File)
	return err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", firmware.ErrNoSpace, err)
	}
	return n, err
}

// places are the slots themselves.
type places interface {
	// write opens a slot for an image, and nobody else meanwhile.
	write(slot string) (target, error)
	// read opens the image in a slot, or returns firmware.ErrNotFound.
	read(slot string) (firmware.Image, error)
}

// target is a slot open for writing.
type target interface {
	firmware.File
	room() int64           // bytes that an image may have
	shrink(to int64) error // drops what is beyond, if the place can shrink
}

// paths are slots on files and block devices.
type paths map[string]place

// place is where a slot is.
type place struct {
	path   string
	device bool
}

// placeOf looks at what a path of Config names. A link has to lead to a device:
// one to a file could lead into the image that runs, or be turned by others.
func placeOf(path string) (place, error) {
	link, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return place{path: path}, nil // a file that is to come
	}
	if err != nil {
		return place{}, err
	}
	if link.Mode()&fs.ModeSymlink != 0 {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return place{}, err
		}
		if link, err = os.Stat(path); err != nil {
			return place{}, err
		}
		if !strings.HasPrefix(path, "/dev/") || link.Mode()&fs.ModeDevice == 0 {
			return place{}, fmt.Errorf("%w: the link leads to %q, which is no device", firmware.ErrInvalid, path)
		}
	}
	switch mode := link.Mode(); {
	case mode.IsRegular():
		return place{path: path}, nil
	case mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		return place{path: path, device: true}, nil
	}
	return place{}, fmt.Errorf("%w: %q is neither a file nor a block device", firmware.ErrInvalid, path)
}

// same reports whether two places are one.
func (p place) same(q place) bool {
	a, errA := os.Stat(p.path)
	b, errB := os.Stat(q.path)
	if errA != nil || errB != nil {
		x, errX := filepath.Abs(p.path)
		y, errY := filepath.Abs(q.path)
		return errX != nil || errY != nil || x == y
	}
	x, isX := deviceOf(a)
	y, isY := deviceOf(b)
	return os.SameFile(a, b) || isX && isY && x == y
}

func (p paths) write(slot string) (target, error) {
	at := p[slot]
	if at.device {
		f, err := os.OpenFile(at.path, os.O_RDWR|exclusive, 0)
		if errors.Is(err, syscall.EBUSY) {
			return nil, fmt.Errorf("it is in use, perhaps mounted: %w", err)
		}
		return targetOf(f, err, true)
	}
	f, err := os.OpenFile(at.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = os.OpenFile(at.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = durable.SyncDir(filepath.Dir(at.path))
		}
	}
	if err == nil {
		err = alone(f)
	}
	return targetOf(f, err, false)
}

func targetOf(f *os.File, err error, device bool) (target, error) {
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, err
	}
	forget(f)
	sized, err := measured(f)
	if err != nil {
		return nil, err
	}
	return &written{file: sized, device: device}, nil
}

// written is a slot that is written.
type written struct {
	*file
	device bool
}

func (w *written) room() int64 {
	if w.device {
		return w.size
	}
	if free, known := freeFor(w.File); known {
		return free
	}
	return math.MaxInt64
}

func (w *written) shrink(to int64) error {
	if w.device || w.size <= to {
		return nil
	}
	return w.Truncate(to)
}

func (p paths) read(slot string) (firmware.Image, error) {
	f, err := os.Open(p[slot].path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", firmware.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	return measured(f)
}
