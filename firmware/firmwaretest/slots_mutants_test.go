package firmwaretest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/provetest"
)

// brokenSlots are slots some of whose methods are replaced.
type brokenSlots struct {
	firmware.Slots
	pair     func(ctx context.Context) (firmware.Pair, error)
	open     func(ctx context.Context, r firmware.Release) (firmware.File, error)
	activate func(ctx context.Context, r firmware.Release, run string) error
	confirm  func(ctx context.Context) error
	revert   func(ctx context.Context) error
	base     func(ctx context.Context) (firmware.Image, error)
}

func (b *brokenSlots) Pair(ctx context.Context) (firmware.Pair, error) {
	if b.pair == nil {
		return b.Slots.Pair(ctx)
	}
	return b.pair(ctx)
}

func (b *brokenSlots) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	if b.open == nil {
		return b.Slots.Open(ctx, r)
	}
	return b.open(ctx, r)
}

func (b *brokenSlots) Activate(ctx context.Context, r firmware.Release, run string) error {
	if b.activate == nil {
		return b.Slots.Activate(ctx, r, run)
	}
	return b.activate(ctx, r, run)
}

func (b *brokenSlots) Confirm(ctx context.Context) error {
	if b.confirm == nil {
		return b.Slots.Confirm(ctx)
	}
	return b.confirm(ctx)
}

func (b *brokenSlots) Revert(ctx context.Context) error {
	if b.revert == nil {
		return b.Slots.Revert(ctx)
	}
	return b.revert(ctx)
}

func (b *brokenSlots) Base(ctx context.Context) (firmware.Image, error) {
	if b.base == nil {
		return b.Slots.Base(ctx)
	}
	return b.base(ctx)
}

// of is what the sound slots hold.
func of(s firmware.Slots) firmware.Pair {
	p, _ := s.Pair(context.Background())
	return p
}

// badSlots are slots that break replaces methods of.
func badSlots(what, caught string, breaks func(sound firmware.Slots, b *brokenSlots)) provetest.Mutant {
	h := simulated(func(s *slot.Simulator) firmware.Slots {
		b := &brokenSlots{Slots: s}
		breaks(s, b)
		return b
	})
	return provetest.Mutant{What: what, Caught: caught, Cases: h.Cases()}
}

// saying changes what Pair says.
func saying(change func(*firmware.Pair)) func(firmware.Slots, *brokenSlots) {
	return func(s firmware.Slots, b *brokenSlots) {
		b.pair = func(ctx context.Context) (firmware.Pair, error) {
			p, err := s.Pair(ctx)
			change(&p)
			return p, err
		}
	}
}

// idle is a file that keeps nothing.
type idle struct{ firmware.File }

func (idle) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// kept is an image that stays open.
type kept struct{ firmware.Image }

func (kept) Close() error { return nil }

func TestEveryCaseOfRunSlotsCatchesBrokenSlots(t *testing.T) {
	sound := simulated(func(s *slot.Simulator) firmware.Slots { return s })
	provetest.Prove(t, sound.Cases(), append(openMutants(), append(activateMutants(), confirmMutants()...)...))
}

func openMutants() []provetest.Mutant {
	return []provetest.Mutant{
		badSlots("asks for a first confirmation", "a device from the factory is confirmed and has nothing to go back to",
			saying(func(p *firmware.Pair) { p.Confirmed = p.Confirmed && p.Running.Version != "" })),
		badSlots("writes nothing", "a slot keeps what was written to it", func(s firmware.Slots, b *brokenSlots) {
			b.open = func(ctx context.Context, r firmware.Release) (firmware.File, error) {
				f, err := s.Open(ctx, r)
				return idle{f}, err
			}
		}),
		badSlots("does not look at the size", "an image that does not fit costs nothing", func(s firmware.Slots, b *brokenSlots) {
			b.open = func(ctx context.Context, r firmware.Release) (firmware.File, error) {
				r.Size = min(r.Size, 1)
				return s.Open(ctx, r)
			}
		}),
		badSlots("keeps the record of what is overwritten", "a slot that is opened is not whole and is not started",
			func(s firmware.Slots, b *brokenSlots) {
				b.open = func(ctx context.Context, r firmware.Release) (firmware.File, error) {
					if of(s).Other.Whole {
						return idle{}, nil
					}
					return s.Open(ctx, r)
				}
			}),
		badSlots("confirms what is in the way", "a slot is not opened while the running image is not confirmed",
			func(s firmware.Slots, b *brokenSlots) {
				b.open = func(ctx context.Context, r firmware.Release) (firmware.File, error) {
					_ = s.Confirm(ctx)
					return s.Open(ctx, r)
				}
			}),
		badSlots("reads the factory's image for ever", "the running image can be read", func(s firmware.Slots, b *brokenSlots) {
			first, _ := s.Base(context.Background())
			b.base = func(context.Context) (firmware.Image, error) { return kept{first}, nil }
		}),
	}
}

// Close lets an idle file of nothing be closed.
func (i idle) Close() error {
	if i.File == nil {
		return nil
	}
	return i.File.Close()
}

func activateMutants() []provetest.Mutant {
	activating := func(with func(s firmware.Slots, ctx context.Context, r firmware.Release, run string) error) func(firmware.Slots, *brokenSlots) {
		return func(s firmware.Slots, b *brokenSlots) {
			b.activate = func(ctx context.Context, r firmware.Release, run string) error { return with(s, ctx, r, run) }
		}
	}
	anew := func(s firmware.Slots, ctx context.Context, r firmware.Release, run string) error {
		if f, err := s.Open(ctx, r); err == nil {
			_ = f.Close()
		}
		return s.Activate(ctx, r, run)
	}
	return []provetest.Mutant{
		badSlots("activates whatever is there", "what is not whole is not activated", activating(anew)),
		badSlots("tries again what did not stay", "a slot that was tried for a run is not tried for it again", activating(anew)),
		badSlots("forgets the epoch", "an activated image is whole and was not started",
			saying(func(p *firmware.Pair) { p.Other.Epoch = 0 })),
		badSlots("is armed as long as another image is there", "an activated image is armed until it starts or the running one is confirmed",
			saying(func(p *firmware.Pair) { p.Armed = p.Armed || p.Other.Run == "run" })),
		badSlots("says that all is confirmed", "an activated image starts once and is not confirmed",
			saying(func(p *firmware.Pair) { p.Confirmed = true })),
		badSlots("confirms what starts", "an image that is not confirmed falls back", func(s firmware.Slots, b *brokenSlots) {
			b.pair = func(ctx context.Context) (firmware.Pair, error) {
				p, err := s.Pair(ctx)
				_ = s.Confirm(ctx)
				return p, err
			}
		}),
		badSlots("tries no image twice", "another run may try an image again",
			activating(func(s firmware.Slots, ctx context.Context, r firmware.Release, run string) error {
				if other := of(s).Other; other.Whole && other.Digest == r.Digest {
					return nil
				}
				return s.Activate(ctx, r, run)
			})),
		badSlots("refuses what was done", "activating again changes nothing",
			activating(func(s firmware.Slots, ctx context.Context, r firmware.Release, run string) error {
				if of(s).Other.Run == run {
					return firmware.ErrTooLate
				}
				return s.Activate(ctx, r, run)
			})),
		badSlots("updates three times", "many updates go from slot to slot", func(s firmware.Slots, b *brokenSlots) {
			n := 0
			b.activate = func(ctx context.Context, r firmware.Release, run string) error {
				if n++; n > 3 {
					return nil
				}
				return s.Activate(ctx, r, run)
			}
		}),
	}
}

func confirmMutants() []provetest.Mutant {
	reverting := func(with func(s firmware.Slots, ctx context.Context) error) func(firmware.Slots, *brokenSlots) {
		return func(s firmware.Slots, b *brokenSlots) {
			b.revert = func(ctx context.Context) error { return with(s, ctx) }
		}
	}
	return []provetest.Mutant{
		badSlots("says that it has confirmed", "a confirmed image starts again and again", func(_ firmware.Slots, b *brokenSlots) {
			b.confirm = func(context.Context) error { return nil }
		}),
		badSlots("leaves what is confirmed alone", "confirm takes back what was activated and not started",
			func(s firmware.Slots, b *brokenSlots) {
				b.confirm = func(ctx context.Context) error {
					if of(s).Confirmed {
						return nil
					}
					return s.Confirm(ctx)
				}
			}),
		badSlots("goes back once and for all", "what was reverted may be confirmed after all", func(s firmware.Slots, b *brokenSlots) {
			back := false
			b.revert = func(ctx context.Context) error { back = true; return s.Revert(ctx) }
			b.confirm = func(ctx context.Context) error {
				if back {
					return nil
				}
				return s.Confirm(ctx)
			}
		}),
		badSlots("says that it goes back", "revert goes back from a confirmed image",
			reverting(func(firmware.Slots, context.Context) error { return nil })),
		badSlots("goes on from a trial", "revert goes back from an image on trial",
			reverting(func(s firmware.Slots, ctx context.Context) error {
				if !of(s).Confirmed {
					return s.Confirm(ctx)
				}
				return s.Revert(ctx)
			})),
		badSlots("does not say that there is no way back", "revert is refused unless the other image is whole",
			reverting(func(s firmware.Slots, ctx context.Context) error { _ = s.Revert(ctx); return nil })),
		badSlots("goes back to what did not stay", "revert is refused to an image that was never confirmed",
			reverting(func(s firmware.Slots, ctx context.Context) error {
				if err := s.Revert(ctx); !errors.Is(err, firmware.ErrTooLate) || !of(s).Other.Whole {
					return err
				}
				return nil
			})),
	}
}
