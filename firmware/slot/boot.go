package slot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/bootvar"
)

// Boot reads and writes the variables of a boot loader. A write is there as a
// whole or not at all, whenever the power goes, and durable once it has
// returned; what was never written is the zero Vars. An error that is
// firmware.ErrUnavailable says that what was written cannot be read any more.
// Package firmwaretest checks implementations.
type Boot interface {
	Read(ctx context.Context) (Vars, error)
	// Write replaces all variables. What cannot be kept, by its size or
	// because of a name in A or B, is an error that changes nothing.
	Write(ctx context.Context, v Vars) error
}

var (
	_ Boot = File{}
	_ Boot = GRUB{}
	_ Boot = Command{}
)

// Vars are what a boot loader wants to know, and tells.
type Vars struct {
	Slot  string // "a" or "b": the one to start from; "": as the factory made it
	Try   string // the one to start next, once; "" for none
	Tries int    // starts of Try so far, which the boot loader counts
	// A and B are the Release.Meta of the images in the slots, for a boot loader
	// that wants it. Names have letters, digits and _; an empty value is none.
	A, B map[string]string
}

// meta is A or B.
func (v *Vars) meta(slot string) *map[string]string {
	if slot == SlotA {
		return &v.A
	}
	return &v.B
}

// withoutEmpty is meta as boot loaders keep it.
func withoutEmpty(meta map[string]string) map[string]string {
	meta = maps.Clone(meta)
	maps.DeleteFunc(meta, func(_, value string) bool { return value == "" })
	return meta
}

func (v Vars) equal(w Vars) bool {
	return v.Slot == w.Slot && v.Try == w.Try && v.Tries == w.Tries && maps.Equal(v.A, w.A) && maps.Equal(v.B, w.B)
}

// Next does what a boot loader does at every start, for one that is written in
// Go, such as an init that mounts one of two images. It returns the slot to
// start, or "" if none was ever written: Try, once, else Slot. What cannot be
// noted is not tried: then there is a Slot with an error.
func Next(ctx context.Context, b Boot) (string, error) {
	v, err := b.Read(ctx)
	if err != nil || v.Try == "" || v.Tries > 0 {
		return v.Slot, err
	}
	noted := v
	noted.Tries = 1
	if err := b.Write(ctx, noted); err != nil {
		return v.Slot, err
	}
	return v.Try, nil
}

// prefix begins the names of all variables.
const prefix = "upkeep_"

// none is the value of a variable that has none. It is as long as "a", so that
// the bytes after it stay where they are, and no command takes it for a wish to
// remove the variable.
const none = "-"

// variable is a variable as boot loaders know it.
type variable struct{ name, value string }

// variables are the names and values of v, always in this order.
func (v Vars) variables() ([]variable, error) {
	if v.Tries < 0 {
		return nil, fmt.Errorf("%d tries", v.Tries)
	}
	all := []variable{{prefix + "slot", v.Slot}, {prefix + "try", v.Try}, {prefix + "tries", strconv.Itoa(v.Tries)}}
	for i := range all[:2] {
		switch all[i].value {
		case SlotA, SlotB:
		case "":
			all[i].value = none
		default:
			return nil, fmt.Errorf("%s is %q, neither %q nor %q", all[i].name, all[i].value, SlotA, SlotB)
		}
	}
	for _, slot := range []string{SlotA, SlotB} {
		meta := *v.meta(slot)
		for _, name := range slices.Sorted(maps.Keys(meta)) {
			value := meta[name]
			if err := bootvar.Check(name, value); err != nil {
				return nil, err
			}
			if value != "" {
				all = append(all, variable{prefix + slot + "_" + name, value})
			}
		}
	}
	return all, nil
}

// ours reports whether a variable is one that Vars has.
func ours(name string) bool {
	switch name {
	case prefix + "slot", prefix + "try", prefix + "tries":
		return true
	}
	return strings.HasPrefix(name, prefix+"a_") || strings.HasPrefix(name, prefix+"b_")
}

// varsOf reads variables; those of others are left alone.
func varsOf(all []variable) (v Vars, err error) {
	slot := func(x variable) string {
		switch x.value {
		case SlotA, SlotB:
			return x.value
		case none, "":
		default:
			err = fmt.Errorf("%w: the boot loader's variable %s is %q", firmware.ErrUnavailable, x.name, x.value)
		}
		return ""
	}
	for _, x := range all {
		switch x.name {
		case prefix + "slot":
			v.Slot = slot(x)
		case prefix + "try":
			v.Try = slot(x)
		case prefix + "tries":
			if v.Tries, err = strconv.Atoi(x.value); err != nil || v.Tries < 0 {
				return v, fmt.Errorf("%w: the boot loader's variable %s is %q", firmware.ErrUnavailable, x.name, x.value)
			}
		default:
			if ours(x.name) && x.value != "" {
				name := strings.TrimPrefix(x.name, prefix)
				meta := v.meta(name[:1])
				if *meta == nil {
					*meta = map[string]string{}
				}
				(*meta)[name[2:]] = x.value
			}
		}
		if err != nil {
			return v, err
		}
	}
	return v, nil
}

// lines are variables as NAME=VALUE, one a line.
func lines(all []variable) []byte {
	var out []byte
	for _, x := range all {
		out = fmt.Appendf(out, "%s=%s\n", x.name, x.value)
	}
	return out
}

// ofLines reads what lines has made.
func ofLines(text []byte) (all []variable) {
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), "="); found {
			all = append(all, variable{name, value})
		}
	}
	return all
}
