package slot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/upkeep-go/upkeep/firmware"
)

// record is what is known of a slot's contents beside them.
type record struct {
	Version string `json:"version,omitempty"`
	Epoch   int64  `json:"epoch,omitempty"`
	Digest  digest `json:"digest"`
	Whole   bool   `json:"whole,omitempty"` // it was read back, or runs
	Good    bool   `json:"good,omitempty"`  // it was confirmed
	Run     string `json:"run,omitempty"`   // that it was last activated for
	Tries   int    `json:"tries,omitempty"` // starts for Run, once the boot loader forgets them
}

type digest [32]byte

func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func (d *digest) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err == nil && len(raw) != len(d) {
		err = fmt.Errorf("a digest of %d bytes", len(raw))
	}
	copy(d[:], raw)
	return err
}

// records keep the record of each slot. What has none was not written by this
// package.
type records struct{ copies }

func (r records) read() (map[string]*record, error) {
	text, known, err := r.copies.read()
	if err != nil {
		return nil, err
	}
	kept := map[string]*record{}
	if known {
		if err := json.Unmarshal(text, &kept); err != nil {
			return nil, fmt.Errorf("%w: the records in %q: %w", firmware.ErrUnavailable, r.path, err)
		}
	}
	return kept, nil
}

func (r records) write(kept map[string]*record) error {
	text, err := json.Marshal(kept)
	if err == nil {
		err = r.copies.write(text)
	}
	if err != nil {
		return fmt.Errorf("the records of the slots: %w", err)
	}
	return nil
}

// state is all that there is to know.
type state struct {
	running, other string
	vars           Vars
	kept           map[string]*record
	factory        bool // nobody has ever told the boot loader anything
}

// confirmed reports whether the next start is of what runs, whatever happens to
// the other slot.
func (s state) confirmed() bool { return s.factory || s.vars.Slot == s.running }

// runs returns the slot that runs.
func (s *Slots) runs() (string, error) {
	running, err := s.running()
	if err != nil {
		return "", fmt.Errorf("which slot runs: %w", err)
	}
	if running != SlotA && running != SlotB {
		return "", fmt.Errorf("%w: slot %q runs, %q and %q are known", firmware.ErrUnavailable, running, SlotA, SlotB)
	}
	return running, nil
}

func (s *Slots) state(ctx context.Context) (state, error) {
	running, err := s.runs()
	if err != nil {
		return state{}, err
	}
	now := state{running: running, other: other(running)}
	if now.vars, err = s.boot.Read(ctx); err != nil {
		return state{}, fmt.Errorf("the boot loader's variables: %w", unavailable(err))
	}
	if now.kept, err = s.records.read(); err != nil {
		return state{}, fmt.Errorf("the records of the slots: %w", err)
	}
	// Variables that are gone, although there are records, were lost: what
	// starts next is what the boot loader does of its own accord.
	now.factory = now.vars.Slot == "" && len(now.kept) == 0
	if rec := now.kept[now.vars.Try]; rec != nil && rec.Run != "" {
		rec.Tries = max(rec.Tries, now.vars.Tries)
	}
	return now, nil
}

// slot is what a slot holds. Of what is not whole nothing is said: it runs
// because somebody has put another image there.
func (s state) slot(name string) firmware.Slot {
	rec := s.kept[name]
	if rec == nil || !rec.Whole {
		return firmware.Slot{Whole: name == s.running}
	}
	return firmware.Slot{
		Version: rec.Version, Epoch: rec.Epoch, Digest: rec.Digest, Whole: true, Run: rec.Run, Tries: rec.Tries,
	}
}

// set writes the boot loader's variables, and reads them back: some that say
// that they have written have not. Before the count of a slot's starts is lost,
// the slot's record gets it.
func (s *Slots) set(ctx context.Context, now *state, want Vars) error {
	if now.vars.equal(want) {
		return nil
	}
	if name := now.vars.Try; name != "" && now.vars.Tries > 0 && name != want.Try {
		if rec := now.kept[name]; rec != nil && rec.Run != "" {
			rec.Good = rec.Good || want.Slot == name
			if err := s.records.write(now.kept); err != nil {
				return err
			}
		}
	}
	if err := s.boot.Write(ctx, want); err != nil {
		return fmt.Errorf("the boot loader's variables: %w", err)
	}
	is, err := s.boot.Read(ctx)
	if err != nil {
		return fmt.Errorf("the boot loader's variables, read back: %w", unavailable(err))
	}
	if !is.equal(want) {
		return fmt.Errorf("%w: the boot loader's variables are not what was written", firmware.ErrUnavailable)
	}
	now.vars = is
	return nil
}
