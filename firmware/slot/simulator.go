package slot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"

	"github.com/upkeep-go/upkeep/firmware"
)

// Simulator is a device in memory, for tests: two slots and a boot loader that
// tries a new image once. It is safe for concurrent use.
type Simulator struct {
	*Slots
	disk *memoryDisk

	mu      sync.Mutex
	running string
	starts  int
	faults  Faults
}

var _ firmware.Slots = (*Simulator)(nil)

// Faults are what goes wrong with a Simulator. The zero Faults are none. Its
// functions may use the Simulator, but for the methods of firmware.Slots.
type Faults struct {
	// Stuck is a boot loader that starts what runs, whatever it is told.
	Stuck bool
	// Deaf is a Confirm that returns nil and has no effect.
	Deaf bool
	// Start is called before the image in a slot starts. After an error it does
	// not come up, and a watchdog restarts the device.
	Start func(slot string) error
	// Write is called before something is written, with where: "a", "b",
	// "records" or "variables"; and Sync before that is made durable. After an
	// error it is not.
	Write func(where string, off int64, p []byte) error
	Sync  func(where string) error
}

// The places of a Simulator beside the slots.
const (
	recordsPlace   = "records"
	variablesPlace = "variables"
)

// NewSimulator returns a device that runs image, as a factory delivers it, and
// has as much room again and 64 MiB for another. Without a version, or an image,
// it is one of a factory that wrote no record.
func NewSimulator(version string, image []byte) *Simulator {
	room := int64(len(image)) + 64<<20
	s := &Simulator{running: SlotA, disk: &memoryDisk{files: map[string]*memoryFile{
		SlotA: {data: bytes.Clone(image), room: room}, SlotB: {room: room},
	}}}
	s.disk.faults = func() Faults {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.faults
	}
	s.Slots = &Slots{
		boot:    File{Path: variablesPlace, disk: s.disk},
		records: records{copies{s.disk, recordsPlace}},
		places:  s.disk,
		running: func() (string, error) { return s.Running(), nil },
		start:   func() string { return strconv.Itoa(s.Starts()) },
	}
	if image != nil && version != "" {
		text, _ := Vars{Slot: SlotA}.variables()
		made := record{Version: version, Digest: sha256.Sum256(image), Whole: true, Good: true}
		if err := errors.Join(
			copies{s.disk, variablesPlace}.write(lines(text)), s.records.write(map[string]*record{SlotA: &made}),
		); err != nil {
			panic(err) // memory does not fail
		}
	}
	return s
}

// Inject makes these the faults from now on.
func (s *Simulator) Inject(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Confirm implements firmware.Slots.
func (s *Simulator) Confirm(ctx context.Context) error {
	if s.disk.faults().Deaf {
		return nil
	}
	return s.Slots.Confirm(ctx)
}

// Reboot is a Config.Reboot: what Pair returns afterwards is what a boot loader
// would have started. It fails if no image comes up.
func (s *Simulator) Reboot(ctx context.Context) error {
	s.disk.sync()
	return s.start(ctx)
}

// PowerCut ends what is under way with an error, and starts the device again.
// What was not made durable is lost, but for its first bytes, of which so many
// had reached the medium in the order in which they were written.
func (s *Simulator) PowerCut(ctx context.Context, reached int) error {
	s.disk.cut(reached)
	return s.start(ctx)
}

// maxStarts is how often an image is started before the device is given up.
const maxStarts = 10

func (s *Simulator) start(ctx context.Context) error {
	var why error
	for range maxStarts {
		next, err := Next(ctx, File{Path: variablesPlace, disk: bootDisk{s.disk}})
		s.mu.Lock()
		s.starts++
		faults := s.faults
		if err == nil && next != "" && !faults.Stuck {
			s.running = next
		}
		next = s.running
		s.mu.Unlock()
		if faults.Start == nil {
			return nil
		}
		if why = faults.Start(next); why == nil {
			return nil
		}
	}
	return why
}

// Starts returns how often the device has started since it was delivered.
func (s *Simulator) Starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// Running returns the slot that runs, "a" or "b".
func (s *Simulator) Running() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// Image returns what the running slot holds.
func (s *Simulator) Image() []byte { return s.disk.bytes(s.Running()) }
