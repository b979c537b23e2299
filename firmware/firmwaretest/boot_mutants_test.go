package firmwaretest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/provetest"
)

// memoryBoot keeps variables in memory.
type memoryBoot struct {
	mu   sync.Mutex
	vars slot.Vars
}

func clone(v slot.Vars) slot.Vars {
	v.A, v.B = maps.Clone(v.A), maps.Clone(v.B)
	return v
}

func (b *memoryBoot) Read(context.Context) (slot.Vars, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return clone(b.vars), nil
}

func (b *memoryBoot) Write(_ context.Context, v slot.Vars) error {
	slots := []string{"", "a", "b"}
	size := 0
	bad := !slices.Contains(slots, v.Slot) || !slices.Contains(slots, v.Try) || v.Tries < 0
	for _, meta := range []map[string]string{v.A, v.B} {
		for name, value := range meta {
			bad = bad || name == "" || strings.ContainsAny(value, "\n\r\x00") ||
				strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != ""
			size += len(value)
		}
	}
	if bad || size > 1000 {
		return errors.New("cannot be kept")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.vars = clone(v)
	return nil
}

// brokenBoot is a Boot some of whose methods are replaced.
type brokenBoot struct {
	slot.Boot
	read  func(ctx context.Context) (slot.Vars, error)
	write func(ctx context.Context, v slot.Vars) error
}

func (b *brokenBoot) Read(ctx context.Context) (slot.Vars, error) {
	if b.read == nil {
		return b.Boot.Read(ctx)
	}
	return b.read(ctx)
}

func (b *brokenBoot) Write(ctx context.Context, v slot.Vars) error {
	if b.write == nil {
		return b.Boot.Write(ctx, v)
	}
	return b.write(ctx, v)
}

func badBoot(what, caught string, breaks func(sound *memoryBoot, b *brokenBoot)) provetest.Mutant {
	h := firmwaretest.BootHarness{Open: func(testing.TB) slot.Boot {
		sound := &memoryBoot{}
		b := &brokenBoot{Boot: sound}
		breaks(sound, b)
		return b
	}}
	return provetest.Mutant{What: what, Caught: caught, Cases: h.Cases()}
}

// writing changes what is written.
func writing(change func(before slot.Vars, v *slot.Vars)) func(*memoryBoot, *brokenBoot) {
	return func(s *memoryBoot, b *brokenBoot) {
		b.write = func(ctx context.Context, v slot.Vars) error {
			v = clone(v)
			change(s.vars, &v)
			return s.Write(ctx, v)
		}
	}
}

// forcing writes what cannot be kept all the same.
func forcing(when func(v slot.Vars) bool) func(*memoryBoot, *brokenBoot) {
	return func(s *memoryBoot, b *brokenBoot) {
		b.write = func(ctx context.Context, v slot.Vars) error {
			err := s.Write(ctx, v)
			if err != nil && when(v) {
				s.vars = clone(v)
			}
			return err
		}
	}
}

func anyMeta(v slot.Vars, is func(name, value string) bool) bool {
	for _, meta := range []map[string]string{v.A, v.B} {
		for name, value := range meta {
			if is(name, value) {
				return true
			}
		}
	}
	return false
}

func TestEveryCaseOfRunBootCatchesABrokenBoot(t *testing.T) {
	sound := firmwaretest.BootHarness{Open: func(testing.TB) slot.Boot { return &memoryBoot{} }}
	handles := firmwaretest.BootHarness{
		Open:  sound.Open,
		Again: func(testing.TB, slot.Boot) slot.Boot { return &memoryBoot{} },
	}
	mutants := []provetest.Mutant{
		badBoot("begins with a slot", "what was never written is the zero Vars", func(s *memoryBoot, _ *brokenBoot) { s.vars.Slot = "a" }),
		badBoot("trims values", "all that was written is read again", writing(func(_ slot.Vars, v *slot.Vars) {
			for name, value := range v.B {
				v.B[name] = strings.TrimLeft(value, "# ")
			}
		})),
		badBoot("keeps old names", "a write replaces everything", writing(func(before slot.Vars, v *slot.Vars) {
			for name, value := range before.B {
				if _, is := v.B[name]; !is && v.B != nil {
					v.B[name] = value
				}
			}
		})),
		{What: "is its own for every handle", Caught: "others read what was written", Cases: handles.Cases()},
		badBoot("counts in eight bits", "of many writes the last one counts", writing(func(_ slot.Vars, v *slot.Vars) { v.Tries &= 0xff })),
		badBoot("shares its maps", "what is read is the caller's", func(s *memoryBoot, b *brokenBoot) {
			b.read = func(context.Context) (slot.Vars, error) { return s.vars, nil }
		}),
		badBoot("takes any name", "a name that no boot loader takes is an error that changes nothing", forcing(func(v slot.Vars) bool {
			return anyMeta(v, func(name, _ string) bool { return strings.ContainsAny(name, " =\n-") })
		})),
		badBoot("takes any value", "a value of two lines is an error that changes nothing", forcing(func(v slot.Vars) bool {
			return anyMeta(v, func(_, value string) bool { return strings.Contains(value, "\n") })
		})),
		badBoot("cuts what is too large", "what is too large is an error that changes nothing", func(s *memoryBoot, b *brokenBoot) {
			b.write = func(ctx context.Context, v slot.Vars) error {
				if len(v.B) > 60 {
					v.B = nil
				}
				return s.Write(ctx, v)
			}
		}),
		badBoot("takes any slot", "an unknown slot is an error that changes nothing",
			forcing(func(v slot.Vars) bool { return v.Slot == "c" })),
		badBoot("does not note a try", "a slot is tried once", writing(func(before slot.Vars, v *slot.Vars) {
			if before.Try == v.Try {
				v.Tries = before.Tries
			}
		})),
		badBoot("forgets tries", "a slot that was tried is not tried", writing(func(before slot.Vars, v *slot.Vars) {
			if before.Try != v.Try {
				v.Tries = 0
			}
		})),
	}
	provetest.Prove(t, sound.Cases(), mutants)
}
