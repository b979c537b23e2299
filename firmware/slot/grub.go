package slot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// GRUB keeps the variables in an environment block of GRUB: the file of 1024
// bytes that grub-editenv makes and grub.cfg reads by load_env. It keeps the
// variables of others, in their order.
//
// GRUB itself can write the block only where it is, and so does this. Ours come
// first, and are always as long as they were: they are in one sector of 512
// bytes, which is written whole or not at all, and what Write does not change
// stays where it is. What does not fit into that sector is ErrNoSpace: Meta of A
// and B together has some 400 bytes. But names of A and B, when they change,
// move what others have behind them; a power cut at that moment may cost those.
//
// The file has to be where GRUB can write: not on LVM, RAID, Btrfs or ZFS. Path
// names the file itself: where it is behind a link, as /boot/grub2/grubenv is on
// some machines with EFI, give what the link leads to. A link is refused.
type GRUB struct {
	Path string // required: such as /boot/grub/grubenv
	disk disk   // default: the machine's
}

const (
	grubSize  = 1024
	sector    = 512 // of the block, that is written as a whole
	grubTitle = "# GRUB Environment Block\n"
)

// Read implements Boot.
func (g GRUB) Read(context.Context) (Vars, error) {
	block, r, err := g.opened()
	if err != nil {
		return Vars{}, err
	}
	if err := r.Close(); err != nil {
		return Vars{}, err
	}
	var all []variable
	for _, e := range grubEntries(block) {
		if e.variable != (variable{}) {
			all = append(all, e.variable)
		}
	}
	return varsOf(all)
}

// Write implements Boot.
func (g GRUB) Write(_ context.Context, v Vars) error {
	all, err := v.variables()
	if err != nil {
		return fmt.Errorf("variables in %q: %w", g.Path, err)
	}
	block, r, err := g.opened()
	if err != nil {
		return err
	}
	next, err := grubBlock(block, all)
	if err == nil && !bytes.Equal(next, block) {
		_, err = r.WriteAt(next, 0)
		err = errors.Join(err, r.Sync())
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("variables in %q: %w", g.Path, err)
	}
	return nil
}

// opened opens the file and reads it, once what a process has written that was
// killed then is durable.
func (g GRUB) opened() ([]byte, durable.Region, error) {
	d := g.disk
	if d == nil {
		d = machine{}
	}
	r, err := d.open(g.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w (grub-editenv makes an environment block)", firmware.ErrUnavailable, err)
	}
	block := make([]byte, grubSize)
	err = r.Sync()
	if err == nil {
		_, err = r.ReadAt(block, 0)
	}
	if err == nil || errors.Is(err, io.EOF) {
		if r.Size() != grubSize || !bytes.HasPrefix(block, []byte(grubTitle)) {
			err = errors.New("it is no environment block of 1024 bytes")
		}
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w: reading %q: %w", firmware.ErrUnavailable, g.Path, err), r.Close())
	}
	return block, r, nil
}

// grubEntry is a part of a block: a variable, or what is none.
type grubEntry struct {
	raw string
	variable
}

// grubEntries takes a block apart. In a value, \ makes the next byte one of the
// value, be it the end of the line. What is not of a block ends it.
func grubEntries(block []byte) (all []grubEntry) {
	rest := block[len(grubTitle):]
	for len(rest) > 0 {
		end := 0
		comment := rest[0] == '#'
		var plain []byte
		for end < len(rest) && rest[end] != '\n' {
			if rest[end] == '\\' && !comment && end+1 < len(rest) {
				end++
			}
			plain = append(plain, rest[end])
			end++
		}
		if end == len(rest) { // the padding, or what was torn
			return all
		}
		e := grubEntry{raw: string(rest[:end+1])}
		if name, value, found := bytes.Cut(plain, []byte("=")); found && !comment {
			e.variable = variable{string(name), string(value)}
		}
		all = append(all, e)
		rest = rest[end+1:]
	}
	return all
}

// grubBlock makes the block that has our variables, and everything else of an old one.
func grubBlock(old []byte, vars []variable) ([]byte, error) {
	next := []byte(grubTitle)
	entries := grubEntries(old)
	for len(entries) > 0 && entries[0].variable == (variable{}) { // more of the title
		next = append(next, entries[0].raw...)
		entries = entries[1:]
	}
	for _, x := range vars {
		next = append(next, x.name...)
		next = append(next, '=')
		for _, b := range []byte(x.value) {
			if b == '\\' {
				next = append(next, '\\')
			}
			next = append(next, b)
		}
		next = append(next, '\n')
	}
	if len(next) > sector {
		return nil, fmt.Errorf("%w: %d bytes of variables of ours, of which GRUB writes %d as a whole", firmware.ErrNoSpace, len(next), sector)
	}
	for _, e := range entries {
		if !ours(e.name) {
			next = append(next, e.raw...)
		}
	}
	if len(next) > grubSize {
		return nil, fmt.Errorf("%w: %d bytes of variables, GRUB takes %d", firmware.ErrNoSpace, len(next), grubSize)
	}
	return append(next, bytes.Repeat([]byte("#"), grubSize-len(next))...), nil
}
