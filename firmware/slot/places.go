package slot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/owned"
)

// machine is the disk of this machine.
type machine struct{}

func (machine) open(path string) (durable.Region, error) { return durable.OpenRegion(path, false) }

func (machine) create(path string, data []byte) error {
	if err := owned.Folder(filepath.Dir(path)); err != nil {
		return err
	}
	return durable.Write(path, data, 0o600)
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
	if err := folderOf(path); err != nil {
		return place{}, err
	}
	link, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(path, "/dev/") {
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
	if errA != nil || errB != nil { // to what is not there no other name leads
		x, errX := p.absolute()
		y, errY := q.absolute()
		return errX != nil || errY != nil || x == y
	}
	x, isX := deviceOf(a)
	y, isY := deviceOf(b)
	return os.SameFile(a, b) || isX && isY && x == y
}

// absolute is the path of what is perhaps not there yet.
func (p place) absolute() (string, error) {
	dir, err := filepath.Abs(filepath.Dir(p.path))
	if real, bad := filepath.EvalSymlinks(dir); bad == nil {
		dir = real
	}
	return filepath.Join(dir, filepath.Base(p.path)), err
}

// folderOf refuses a path whose folder others could change. One that is not there
// is looked at once the path is used.
func folderOf(path string) error {
	if err := owned.Folder(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// pathOf is where a Boot of this package keeps the variables, or "".
func pathOf(b Boot) string {
	switch b := b.(type) {
	case File:
		return b.Path
	case GRUB:
		return b.Path
	}
	return ""
}

// apart refuses places of which two are one, and folders of records or variables
// in which others could put something.
func (p paths) apart(records string, boot Boot) error {
	all := map[string]place{"A": p[SlotA], "B": p[SlotB]}
	for name, path := range map[string]string{"Records": records, "Boot": pathOf(boot)} {
		if path == "" {
			continue
		}
		if err := folderOf(path); err != nil {
			return fmt.Errorf("%s of slot.Config: %w", name, err)
		}
		all[name] = place{path: path}
	}
	names := slices.Sorted(maps.Keys(all))
	for i, a := range names {
		for _, b := range names[:i] {
			if all[a].same(all[b]) {
				return fmt.Errorf("%w: %s and %s of slot.Config are the same place", firmware.ErrInvalid, b, a)
			}
		}
	}
	return nil
}

func (p paths) write(slot string) (target, error) {
	at := p[slot]
	if !at.device {
		return fileTarget(at.path)
	}
	r, err := durable.OpenRegion(at.path, true)
	if errors.Is(err, syscall.EBUSY) {
		return nil, fmt.Errorf("%w: it is in use, perhaps mounted: %w", firmware.ErrUnavailable, err)
	}
	if err != nil {
		return nil, err
	}
	if err := r.Sync(); err != nil { // what is read is of the medium
		return nil, errors.Join(err, r.Close())
	}
	return device{r}, nil
}

// device is a slot that is written on a block device.
type device struct{ durable.Region }

func (d device) room() int64 { return d.Size() }

func (device) shrink(int64) error { return nil }

// fileTarget opens a file, which grows as it is written.
func fileTarget(path string) (target, error) {
	f, err := owned.Open(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = owned.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = durable.SyncDir(filepath.Dir(path))
		}
	}
	if err == nil {
		err = alone(f)
	}
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, err
	}
	durable.Forget(f)
	return file{f}, nil
}

// file is a slot that is written in a file.
type file struct{ *os.File }

func (f file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", firmware.ErrNoSpace, err)
	}
	return n, err
}

// Sync makes durable what was written. What is read then is of the medium.
func (f file) Sync() error {
	defer durable.Forget(f.File)
	return f.File.Sync()
}

func (f file) room() int64 {
	if free, known := freeFor(f.File); known {
		return free
	}
	return math.MaxInt64
}

func (f file) shrink(to int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() <= to {
		return err
	}
	return f.Truncate(to)
}

func (p paths) read(slot string) (firmware.Image, error) {
	f, err := owned.Open(p[slot].path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", firmware.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd) // by Stat devices have none
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return base{f, size}, nil
}

// base is the running image.
type base struct {
	*os.File
	size int64
}

func (b base) Size() int64 { return b.size }
