package slot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// errPower ends what a power cut has interrupted.
var errPower = errors.New("slot: the power was cut")

// memoryDisk is the disk of a Simulator. It forgets at a power cut what was not
// synced.
type memoryDisk struct {
	faults func() Faults

	mu    sync.Mutex
	files map[string]*memoryFile
	cuts  int
	late  []lateWrite // not yet durable, in their order
}

// memoryFile is a file that grows up to its room.
type memoryFile struct {
	data []byte
	room int64
}

// lateWrite is a write that a power cut takes back.
type lateWrite struct {
	file *memoryFile
	off  int64
	p    []byte
	was  []byte // from off on
	size int    // of the file
}

func (d *memoryDisk) open(path string) (durable.Region, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[path]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &memoryRegion{disk: d, where: path, file: f, cuts: d.cuts}, nil
}

func (d *memoryDisk) create(path string, data []byte) error {
	if before := d.faults().Write; before != nil {
		if err := before(path, 0, data); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = &memoryFile{data: bytes.Clone(data), room: int64(len(data))}
	return nil
}

// write lets a process write a slot that another one had open when it was
// killed, which nobody tells a disk in memory.
func (d *memoryDisk) write(slot string) (target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &memoryRegion{disk: d, where: slot, file: d.files[slot], cuts: d.cuts}, nil
}

func (d *memoryDisk) read(slot string) (firmware.Image, error) { return d.open(slot) }

func (d *memoryDisk) bytes(path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.files[path].data)
}

// sync makes everything durable.
func (d *memoryDisk) sync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late = nil
}

// cut takes back what was not durable, but for its first bytes.
func (d *memoryDisk) cut(reached int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range slices.Backward(d.late) {
		copy(w.file.data[w.off:], w.was)
		w.file.data = w.file.data[:w.size]
	}
	for _, w := range d.late {
		n := min(reached, len(w.p))
		w.file.put(w.p[:n], w.off)
		reached -= n
	}
	d.late = nil
	d.cuts++
}

func (f *memoryFile) put(p []byte, off int64) {
	if end := off + int64(len(p)); len(p) > 0 && end > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	copy(f.data[min(off, int64(len(f.data))):], p)
}

// memoryRegion is a memoryFile that is open.
type memoryRegion struct {
	disk   *memoryDisk
	where  string
	file   *memoryFile
	cuts   int  // of the disk, when it was opened
	quiet  bool // no fault stops it
	closed bool
}

func (r *memoryRegion) faults() Faults {
	if r.quiet {
		return Faults{}
	}
	return r.disk.faults()
}

func (r *memoryRegion) usable() error {
	switch {
	case r.closed:
		return fs.ErrClosed
	case r.cuts != r.disk.cuts:
		return errPower
	}
	return nil
}

func (r *memoryRegion) ReadAt(p []byte, off int64) (int, error) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if err := r.usable(); err != nil {
		return 0, err
	}
	if off >= int64(len(r.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.file.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *memoryRegion) WriteAt(p []byte, off int64) (int, error) {
	if before := r.faults().Write; before != nil {
		if err := before(r.where, off, p); err != nil {
			return 0, err
		}
	}
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if err := r.usable(); err != nil {
		return 0, err
	}
	end := off + int64(len(p))
	if off < 0 || end > r.file.room {
		return 0, fmt.Errorf("%w: byte %d of %d", firmware.ErrNoSpace, end, r.file.room)
	}
	size := int64(len(r.file.data))
	r.disk.late = append(r.disk.late, lateWrite{
		file: r.file, off: off, p: bytes.Clone(p), size: int(size),
		was: bytes.Clone(r.file.data[min(off, size):min(end, size)]),
	})
	r.file.put(p, off)
	return len(p), nil
}

func (r *memoryRegion) Sync() error {
	if before := r.faults().Sync; before != nil {
		if err := before(r.where); err != nil {
			return err
		}
	}
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if err := r.usable(); err != nil {
		return err
	}
	r.disk.late = slices.DeleteFunc(r.disk.late, func(w lateWrite) bool { return w.file == r.file })
	return nil
}

// Close ends the use of the file; a second time it is not an error.
func (r *memoryRegion) Close() error {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	r.closed = true
	return nil
}

func (r *memoryRegion) Size() int64 {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	return int64(len(r.file.data))
}

func (r *memoryRegion) room() int64 { return r.file.room }

// shrink cuts an image off, durably.
func (r *memoryRegion) shrink(to int64) error {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if int64(len(r.file.data)) > to {
		r.file.data = r.file.data[:to]
		r.disk.late = slices.DeleteFunc(r.disk.late, func(w lateWrite) bool { return w.file == r.file })
	}
	return nil
}

// bootDisk is the disk as the boot loader sees it: no fault stops it, and it
// creates nothing.
type bootDisk struct{ *memoryDisk }

func (d bootDisk) open(path string) (durable.Region, error) {
	r, err := d.memoryDisk.open(path)
	if err == nil {
		r.(*memoryRegion).quiet = true
	}
	return r, err
}
