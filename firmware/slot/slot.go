// Package slot keeps two images in files or block devices and tells a boot
// loader which one to start. [Open] is for a device, [NewSimulator] for tests.
package slot

import (
	"context"
	"fmt"
	"sync"

	"github.com/upkeep-go/upkeep/firmware"
)

// Slots are two slots. It is safe for concurrent use.
type Slots struct {
	boot    Boot
	records records
	open    func(slot string) (region, error) // for writing
	base    func(slot string) (firmware.Image, error)
	running func() (string, error)

	mu sync.Mutex // one change at a time
}

var _ firmware.Slots = (*Slots)(nil)

// region is the place of an image.
type region interface {
	firmware.File
	Size() int64 // that an image may have
}

// record is what is known of a slot's contents beside them.
type record struct {
	Version string   `json:"version,omitempty"`
	Epoch   int64    `json:"epoch,omitempty"`
	Digest  [32]byte `json:"digest,omitempty"`
	Whole   bool     `json:"whole,omitempty"` // it was read back
	Run     string   `json:"run,omitempty"`   // that it was last activated for
}

// records keep the record of each slot. A write is there as a whole or not at
// all, whenever the power goes.
type records interface {
	read(slot string) (record, bool, error)
	write(slot string, r record) error
}

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

// state is all that there is to know.
type state struct {
	running string
	vars    Vars
}

func (s *Slots) state(ctx context.Context) (state, error) {
	running, err := s.running()
	if err != nil {
		return state{}, fmt.Errorf("which slot runs: %w", err)
	}
	if running != SlotA && running != SlotB {
		return state{}, fmt.Errorf("%w: slot %q runs, %q and %q are known", firmware.ErrUnavailable, running, SlotA, SlotB)
	}
	vars, err := s.boot.Read(ctx)
	if err != nil {
		return state{}, fmt.Errorf("the boot loader's variables: %w", err)
	}
	if vars.Slot == "" {
		vars.Slot = running // as the factory delivers it
	}
	return state{running, vars}, nil
}

// Pair implements firmware.Slots.
func (s *Slots) Pair(ctx context.Context) (firmware.Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return firmware.Pair{}, err
	}
	p := firmware.Pair{Confirmed: now.vars.Slot == now.running}
	if p.Running, err = s.slot(now, now.running); err != nil {
		return firmware.Pair{}, err
	}
	p.Other, err = s.slot(now, other(now.running))
	return p, err
}

func (s *Slots) slot(now state, name string) (firmware.Slot, error) {
	r, known, err := s.records.read(name)
	if err != nil {
		return firmware.Slot{}, fmt.Errorf("the record of slot %q: %w", name, err)
	}
	out := firmware.Slot{Version: r.Version, Epoch: r.Epoch, Digest: r.Digest, Whole: r.Whole, Run: r.Run}
	if !known && name == now.running {
		out.Whole = true // it was started
	}
	if now.vars.Try == name {
		out.Tries = now.vars.Tries
	}
	if !out.Whole {
		out.Version, out.Epoch, out.Run = "", 0, ""
	}
	return out, nil
}

// Open implements firmware.Slots.
func (s *Slots) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return nil, err
	}
	if now.vars.Slot != now.running {
		return nil, fmt.Errorf("%w: the image that runs is not confirmed", firmware.ErrTooLate)
	}
	target := other(now.running)
	file, err := s.open(target)
	if err != nil {
		return nil, fmt.Errorf("slot %q: %w", target, err)
	}
	if have := file.Size(); r.Size > have {
		file.Close()
		return nil, &firmware.SpaceError{Need: r.Size, Have: have}
	}
	if now.vars.Try != "" {
		now.vars.Try, now.vars.Tries = "", 0
		err = s.boot.Write(ctx, now.vars)
	}
	if err == nil {
		err = s.records.write(target, record{Digest: r.Digest})
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("the record of slot %q: %w", target, err)
	}
	return file, nil
}

// Activate implements firmware.Slots.
func (s *Slots) Activate(ctx context.Context, r firmware.Release, run string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return err
	}
	target := other(now.running)
	rec, _, err := s.records.read(target)
	if err != nil {
		return err
	}
	switch {
	case rec.Whole && rec.Run == run && now.vars.Try == target:
		return nil // it is activated, or was tried
	case rec.Digest != r.Digest:
		return fmt.Errorf("%w: slot %q does not hold version %q", firmware.ErrTooLate, target, r.Version)
	}
	err = s.records.write(target, record{Version: r.Version, Epoch: r.Epoch, Digest: r.Digest, Whole: true, Run: run})
	if err != nil {
		return fmt.Errorf("the record of slot %q: %w", target, err)
	}
	now.vars.Try, now.vars.Tries, now.vars.Meta = target, 0, r.Meta
	return s.boot.Write(ctx, now.vars)
}

// Confirm implements firmware.Slots.
func (s *Slots) Confirm(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return err
	}
	want := Vars{Slot: now.running}
	if now.vars.Slot == want.Slot && now.vars.Try == "" {
		return nil
	}
	return s.boot.Write(ctx, want)
}

// Revert implements firmware.Slots.
func (s *Slots) Revert(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.state(ctx)
	if err != nil {
		return err
	}
	target := other(now.running)
	rec, known, err := s.records.read(target)
	if err != nil {
		return err
	}
	// What a factory wrote has no record, and was what one started from.
	if whole := rec.Whole || !known && now.vars.Slot == target; !whole {
		return fmt.Errorf("%w: slot %q has no image that could be started", firmware.ErrTooLate, target)
	}
	return s.boot.Write(ctx, Vars{Slot: target})
}

// Base implements firmware.Slots.
func (s *Slots) Base(ctx context.Context) (firmware.Image, error) {
	running, err := s.running()
	if err != nil {
		return nil, err
	}
	return s.base(running)
}
