package slot

import (
	"context"
	"slices"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/durabletest"
)

// FirstOf, Argument and Reboot are for tests of what they do to a machine.
var (
	FirstOf  = firstOf
	Argument = argument
)

// SetReboot replaces the system call.
func SetReboot(f func() error) (restore func()) {
	was := reboot
	reboot = f
	return func() { reboot = was }
}

// File and GRUB are on the disk of a Simulator.
func (s *Simulator) File(path string) File { return File{Path: path, disk: s.disk} }

// GRUB has this environment block.
func (s *Simulator) GRUB(path string, block []byte) GRUB {
	_ = s.disk.create(path, block)
	return GRUB{Path: path, disk: s.disk}
}

// OnDisk are Slots on files of fixed sizes, and a File beside them, all of which
// are on d.
func OnDisk(c Config, d *durabletest.Disk) (*Slots, error) {
	s, err := Open(c)
	if err != nil {
		return nil, err
	}
	at := noted{d, s.places.(paths)}
	s.boot, s.records.disk, s.places = File{Path: c.Boot.(File).Path, disk: at}, at, at
	return s, nil
}

// BootOf is the boot loader of these slots.
func BootOf(s *Slots) Boot { return s.boot }

// noted is a disk that notes what is done by it.
type noted struct {
	disk *durabletest.Disk
	paths
}

func (n noted) open(path string) (durable.Region, error) { return n.disk.Region(path) }

func (n noted) create(path string, data []byte) error {
	return durable.WriteOn(n.disk, path, data, 0o600)
}

func (n noted) write(slot string) (target, error) {
	r, err := n.disk.Region(n.paths[slot].path)
	return device{r}, err
}

// Contents is what a place of a Simulator has.
func (s *Simulator) Contents(path string) []byte { return s.disk.bytes(path) }

// Damage changes what a place of a Simulator has.
func (s *Simulator) Damage(path string, change func([]byte) []byte) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.files[path].data = change(s.disk.files[path].data)
}

// Remove removes a place of a Simulator.
func (s *Simulator) Remove(path string) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	delete(s.disk.files, path)
}

// Torn is a PowerCut that leaves the rest of what was under way as rest says,
// sector by sector: as it was, or all of one byte.
func (s *Simulator) Torn(ctx context.Context, reached int, rest ...byte) error {
	s.disk.mu.Lock()
	late := slices.Clone(s.disk.late)
	s.disk.mu.Unlock()
	s.disk.cut(reached)
	s.disk.mu.Lock()
	for _, w := range late {
		n := max(0, min(reached, len(w.p)))
		reached -= n
		if len(rest) > 0 {
			full := slices.Repeat(rest, len(w.p))
			w.file.put(full[:len(w.p)-n], w.off+int64(n))
		}
	}
	s.disk.mu.Unlock()
	return s.start(ctx)
}

// LateBytes is how much was written and is not durable.
func (s *Simulator) LateBytes() (n int) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	for _, w := range s.disk.late {
		n += len(w.p)
	}
	return n
}
