package slot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"github.com/upkeep-go/upkeep/firmware"
)

// Simulator is a device in memory, for tests: two slots and a boot loader that
// tries a new image once. It is safe for concurrent use.
type Simulator struct {
	*Slots

	mu      sync.Mutex
	running string
	vars    Vars
	kept    map[string]record
	images  map[string]*memoryRegion
	starts  int
}

// NewSimulator returns a device that runs image, as a factory delivers it, and
// has as much room again and 64 MiB for another. A nil image is one of a factory
// that wrote no record.
func NewSimulator(version string, image []byte) *Simulator {
	s := &Simulator{
		running: SlotA, kept: map[string]record{},
		images: map[string]*memoryRegion{SlotA: {data: bytes.Clone(image)}, SlotB: {}},
	}
	room := int64(len(image)) + 64<<20
	for _, r := range s.images {
		r.room = room
	}
	if image != nil {
		s.kept[SlotA] = record{Version: version, Digest: sha256.Sum256(image), Whole: true}
	}
	s.Slots = &Slots{
		boot: simulatedBoot{s}, records: simulatedRecords{s},
		running: func() (string, error) { return s.locked(func() string { return s.running }), nil },
		open:    func(slot string) (region, error) { return s.images[slot], nil },
		base:    func(slot string) (firmware.Image, error) { return s.images[slot], nil },
	}
	return s
}

func (s *Simulator) locked(f func() string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// Reboot is a Config.Reboot: what Pair returns afterwards is what a boot loader
// would have started.
func (s *Simulator) Reboot(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	switch {
	case s.vars.Try != "" && s.vars.Tries == 0:
		s.vars.Tries, s.running = 1, s.vars.Try
	case s.vars.Slot != "":
		s.running = s.vars.Slot
	}
	return nil
}

// Starts returns how often Reboot was called.
func (s *Simulator) Starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// Image returns what the running slot holds.
func (s *Simulator) Image() []byte {
	r := s.images[s.locked(func() string { return s.running })]
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.data)
}

type simulatedBoot struct{ s *Simulator }

func (b simulatedBoot) Read(context.Context) (Vars, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	return b.s.vars, nil
}

func (b simulatedBoot) Write(_ context.Context, v Vars) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.vars = v
	return nil
}

type simulatedRecords struct{ s *Simulator }

func (r simulatedRecords) read(slot string) (record, bool, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	kept, known := r.s.kept[slot]
	return kept, known, nil
}

func (r simulatedRecords) write(slot string, rec record) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.kept[slot] = rec
	return nil
}

// memoryRegion is a place for an image that grows up to its room.
type memoryRegion struct {
	mu   sync.Mutex
	data []byte
	room int64
}

func (r *memoryRegion) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if off >= int64(len(r.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *memoryRegion) WriteAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := off + int64(len(p))
	if off < 0 || end > r.room {
		return 0, fmt.Errorf("%w: byte %d of %d", firmware.ErrNoSpace, end, r.room)
	}
	if end > int64(len(r.data)) {
		r.data = append(r.data, make([]byte, end-int64(len(r.data)))...)
	}
	return copy(r.data[off:], p), nil
}

func (r *memoryRegion) Sync() error  { return nil }
func (r *memoryRegion) Close() error { return nil }

// Size is that of the image for who reads it, and all the room for who writes.
func (r *memoryRegion) Size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room
}
