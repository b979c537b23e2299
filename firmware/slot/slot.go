package slot

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/proc"
)

// The two slots, as Vars name them.
const (
	SlotA = "a"
	SlotB = "b"
)

func other(slot string) string {
	if slot == SlotA {
		return SlotB
	}
	return SlotA
}

// Config configures Slots. A zero field means its documented default.
type Config struct {
	// A and B are block devices, by links in /dev too, or files. Required. A
	// file that is not there is made when an image comes. Files, that of Records
	// and those of Boot too, are no links and have no second name, and neither
	// they nor the folders of their paths may be writable or owned by others:
	// else these could have anything written.
	A, B string
	Boot Boot // required
	// Records is the file that keeps what the slots hold. It has to be on
	// a file system that is in neither slot. Required for devices; default:
	// "slots" in the folder of A.
	Records string
	// Running tells which slot was started, "a" or "b", such as by
	// KernelArgument. Default, on Linux: the one that the root file system is
	// on, or on whose device it is by way of dm-verity and the like. Required
	// for files.
	Running func() (string, error)
	// Start tells one start of the device from another, as firmware.Pair has it.
	// Default: on Linux the kernel's boot id, for devices; nobody knows, for
	// files, which may be those of a device that is simulated.
	Start func() string
}

// Slots are two slots. It is safe for concurrent use, but who works on a device
// by many processes has to let them do so one at a time: a Service does.
type Slots struct {
	boot    Boot
	records records
	places  places
	running func() (string, error)
	start   func() string

	mu sync.Mutex // one change at a time
}

var _ firmware.Slots = (*Slots)(nil)

// Open returns the slots of this device. It changes nothing. A device fresh from
// the factory has no record, and what runs is confirmed.
func Open(c Config) (*Slots, error) {
	if c.A == "" || c.B == "" || c.Boot == nil {
		return nil, fmt.Errorf("%w: A, B and Boot of slot.Config are required", firmware.ErrInvalid)
	}
	at := paths{}
	for slot, path := range map[string]string{SlotA: c.A, SlotB: c.B} {
		p, err := placeOf(path)
		if err != nil {
			return nil, fmt.Errorf("slot %q: %w", slot, err)
		}
		at[slot] = p
	}
	device := at[SlotA].device || at[SlotB].device
	if c.Records == "" {
		if device {
			return nil, fmt.Errorf("%w: Records of slot.Config is required for devices", firmware.ErrInvalid)
		}
		c.Records = filepath.Join(filepath.Dir(c.A), "slots")
	}
	if err := at.apart(c.Records, c.Boot); err != nil {
		return nil, err
	}
	if c.Running == nil {
		if !device {
			return nil, fmt.Errorf("%w: Running of slot.Config is required for files", firmware.ErrInvalid)
		}
		c.Running = func() (string, error) { return rootSlot(at) }
	}
	switch {
	case c.Start != nil:
	case device:
		c.Start = proc.BootID
	default:
		c.Start = func() string { return "" }
	}
	return &Slots{
		boot: c.Boot, records: records{copies{machine{}, c.Records}}, places: at, running: c.Running, start: c.Start,
	}, nil
}

// Pair implements firmware.Slots.
func (s *Slots) Pair(ctx context.Context) (firmware.Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return firmware.Pair{}, err
	}
	return firmware.Pair{
		Running: now.slot(now.running), Other: now.slot(now.other), Confirmed: now.confirmed(), Armed: now.vars.Try == now.other && now.vars.Tries == 0,
		Start: s.start(),
	}, nil
}

// Open implements firmware.Slots.
func (s *Slots) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return nil, err
	}
	if !now.confirmed() {
		return nil, fmt.Errorf("%w: the image that runs is not confirmed", firmware.ErrTooLate)
	}
	file, err := s.places.write(now.other)
	if err != nil {
		return nil, fmt.Errorf("slot %q: %w", now.other, err)
	}
	if have := file.room(); r.Size > have {
		file.Close()
		return nil, &firmware.SpaceError{Need: r.Size, Have: have}
	}
	if err = s.empty(ctx, now, r); err == nil {
		err = file.shrink(r.Size)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("slot %q: %w", now.other, err)
	}
	return file, nil
}

// empty makes the other slot one that nobody starts, before it is written. The
// boot loader is told first, also which slot to start if it was never told:
// what it does of its own accord may be to start the other one.
func (s *Slots) empty(ctx context.Context, now state, r firmware.Release) error {
	want := now.vars
	want.Slot, want.Try, want.Tries = now.running, "", 0
	*want.meta(now.other) = nil
	if err := s.set(ctx, &now, want); err != nil {
		return err
	}
	rec := record{Digest: r.Digest}
	if kept := now.kept[now.other]; kept != nil && *kept == rec {
		return nil
	}
	now.kept[now.other] = &rec
	return s.records.write(now.kept)
}

// Activate implements firmware.Slots.
func (s *Slots) Activate(ctx context.Context, r firmware.Release, run string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{now.running, now.other} {
		rec := now.kept[name]
		is := rec != nil && rec.Whole && rec.Run == run && rec.Digest == r.Digest
		if is && (name == now.running || rec.Tries > 0 || now.vars.Try == name) {
			return nil // it runs, was tried, or is going to be
		}
	}
	rec := now.kept[now.other]
	switch {
	case !now.confirmed():
		return fmt.Errorf("%w: the image that runs is not confirmed", firmware.ErrTooLate)
	case rec == nil || rec.Digest != r.Digest:
		return fmt.Errorf("%w: slot %q does not hold version %q", firmware.ErrTooLate, now.other, r.Version)
	}
	if now.vars.Tries > 0 { // for another run
		want := now.vars
		want.Try, want.Tries = "", 0
		if err := s.set(ctx, &now, want); err != nil {
			return err
		}
	}
	now.kept[now.other] = &record{Version: r.Version, Epoch: r.Epoch, Digest: r.Digest, Whole: true, Run: run}
	running := record{Whole: true} // as the factory wrote it
	if rec := now.kept[now.running]; rec != nil && rec.Whole {
		running = *rec
	}
	running.Good = true
	now.kept[now.running] = &running
	if err := s.records.write(now.kept); err != nil {
		return err
	}
	want := now.vars
	want.Slot, want.Try, want.Tries = now.running, now.other, 0
	*want.meta(now.other) = withoutEmpty(r.Meta)
	return s.set(ctx, &now, want)
}

// Confirm implements firmware.Slots.
func (s *Slots) Confirm(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return err
	}
	if now.factory && now.vars.Try == "" {
		return nil
	}
	want := now.vars
	want.Slot, want.Try, want.Tries = now.running, "", 0
	return s.set(ctx, &now, want)
}

// Revert implements firmware.Slots.
func (s *Slots) Revert(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return err
	}
	switch rec := now.kept[now.other]; {
	case rec == nil && now.vars.Slot == now.other: // the factory's, and what one started from
	case rec == nil || !rec.Whole:
		return fmt.Errorf("%w: slot %q has no image that could be started", firmware.ErrTooLate, now.other)
	case !rec.Good:
		return fmt.Errorf("%w: slot %q has an image that was never confirmed", firmware.ErrTooLate, now.other)
	}
	want := now.vars
	want.Slot, want.Try, want.Tries = now.other, "", 0
	return s.set(ctx, &now, want)
}

// Base implements firmware.Slots.
func (s *Slots) Base(context.Context) (firmware.Image, error) {
	running, err := s.runs()
	if err != nil {
		return nil, err
	}
	return s.places.read(running)
}
