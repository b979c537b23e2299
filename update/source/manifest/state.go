package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// State is what a program must remember of the manifests it has accepted: of
// each channel the highest serial, and the keys it trusts. The zero State has
// seen none.
type State struct {
	seen  []seen
	trust []trusted
}

// seen is the last manifest accepted of a channel.
type seen struct {
	Product string    `json:"product"`
	Channel string    `json:"channel"`
	Serial  int64     `json:"serial"`
	Digest  Digest    `json:"sha256"` // of the manifest's bytes
	Issued  time.Time `json:"issued"`
	// Rotation is the serial of the rotation under which it was accepted.
	Rotation int64 `json:"rotation,omitempty"`
}

// trusted is what came of the keys that a program was built with.
type trusted struct {
	Product string `json:"product"`
	Built   Digest `json:"built"` // SHA-256 of those keys and their threshold
	Trust
}

// stored is State in JSON.
type stored struct {
	Format int       `json:"format"`
	Seen   []seen    `json:"seen"`
	Trust  []trusted `json:"trust"`
}

// ParseState reads what Encode wrote. Nothing is the zero State.
func ParseState(text []byte) (*State, error) {
	if len(text) == 0 {
		return &State{}, nil
	}
	var s stored
	if err := signed.DecodeKnown(text, &s); err != nil {
		return nil, fmt.Errorf("manifest: the state is damaged: %w", err)
	}
	if s.Format != 1 {
		return nil, fmt.Errorf("manifest: the state has format %d, want 1", s.Format)
	}
	for _, t := range s.Trust {
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("manifest: the state is damaged: %w", err)
		}
	}
	return &State{seen: s.Seen, trust: s.Trust}, nil
}

// Encode writes the state.
func (s *State) Encode() ([]byte, error) {
	text, err := json.Marshal(stored{Format: 1, Seen: s.seen, Trust: s.trust})
	if err != nil {
		return nil, fmt.Errorf("manifest: writing the state: %w", err)
	}
	return append(text, '\n'), nil
}

// Check is what a manifest must be to be accepted.
type Check struct {
	Product, Channel string
	// Keys are those that the program was built with: 1 to 8. Keys that the
	// state has not met begin anew, without what was rotated under others.
	Keys []ed25519.PublicKey
	// Threshold is how many of Keys must have signed. Default 1. A rotation brings
	// one of its own.
	Threshold int
	// MinSerial is the lowest serial to accept, whatever was seen: of use to a
	// program that has no state yet.
	MinSerial int64
	Now       time.Time // required
}

// Accept reads a file, checks everything there is to check of its manifest,
// and remembers it. An error leaves the state as it was.
func (s *State) Accept(text []byte, c Check) (Manifest, error) {
	if err := c.trust().Check(); err != nil {
		return Manifest{}, err
	}
	f, err := Parse(text)
	if err != nil {
		return Manifest{}, err
	}
	before := s.trusted(c)
	m, trust, replaced, err := f.open(c.Product, before)
	if err != nil {
		return Manifest{}, err
	}
	if m.Product != c.Product || m.Channel != c.Channel {
		return Manifest{}, fmt.Errorf("%w: product %q in channel %q, want %q in %q",
			ErrMismatch, m.Product, m.Channel, c.Product, c.Channel)
	}
	sum := sha256.Sum256(f.Manifest.Payload)
	now := seen{Product: m.Product, Channel: m.Channel, Serial: m.Serial, Digest: sum[:], Issued: m.Issued, Rotation: trust.Serial}
	last := s.last(m.Product, m.Channel)
	if replaced && last.under(before) {
		last = seen{}
	}
	if err := order(last, now, c.MinSerial); err != nil {
		return Manifest{}, err
	}
	if err := s.age(m, c.Now); err != nil {
		return Manifest{}, err
	}
	if replaced {
		s.forget(c.Product, before)
	}
	s.remember(now, c, trust)
	return m, nil
}

// order refuses what is older than what was seen last.
func order(last, now seen, least int64) error {
	switch {
	case now.Serial < max(last.Serial, least):
		return fmt.Errorf("%w: serial %d after %d", ErrReplayed, now.Serial, max(last.Serial, least))
	case now.Serial == last.Serial && !bytes.Equal(now.Digest, last.Digest):
		return fmt.Errorf("%w: serial %d had another content", ErrReplayed, now.Serial)
	}
	return nil
}

// age refuses what has expired, and a clock that cannot tell.
func (s *State) age(m Manifest, now time.Time) error {
	var latest time.Time
	for _, known := range s.seen {
		if known.Issued.After(latest) {
			latest = known.Issued
		}
	}
	if err := signed.Age(m.Issued, m.Expires, latest, now); err != nil {
		return fmt.Errorf("serial %d: %w", m.Serial, err)
	}
	return nil
}

func (s *State) last(product, channel string) seen {
	for _, known := range s.seen {
		if known.Product == product && known.Channel == channel {
			return known
		}
	}
	return seen{}
}

// under reports whether a manifest was accepted before what is trusted moved on
// from t. If not, another build of the program, which has other keys in it, was
// ahead of this one.
func (k seen) under(t Trust) bool { return k.Rotation <= t.Serial }

// forget forgets the serials that a product had in all its channels under what
// was trusted before: who has signed them can sign no more. That something was
// signed at a time stays known.
func (s *State) forget(product string, before Trust) {
	for i, known := range s.seen {
		if known.Product == product && known.under(before) {
			s.seen[i].Serial, s.seen[i].Digest = 0, nil
		}
	}
}

// trust is what a program was built with.
func (c Check) trust() Trust { return Trust{Keys: c.Keys, Threshold: c.Threshold} }

// trusted is what the keys of c have come to.
func (s *State) trusted(c Check) Trust {
	built := fingerprint(c.trust())
	for _, t := range s.trust {
		if t.Product == c.Product && bytes.Equal(t.Built, built) {
			return t.Trust
		}
	}
	return c.trust()
}

// fingerprint names a set of keys, whatever their order, and how many of them it
// takes if that is more than one.
func fingerprint(t Trust) Digest {
	keys := slices.Clone(t.Keys)
	slices.SortFunc(keys, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	sum := sha256.New()
	for _, key := range keys {
		sum.Write(key)
	}
	if t.Threshold > 1 {
		sum.Write([]byte{byte(t.Threshold)})
	}
	return sum.Sum(nil)
}

func (s *State) remember(now seen, c Check, trust Trust) {
	s.seen = replace(s.seen, now, func(known seen) bool {
		return known.Product == now.Product && known.Channel == now.Channel
	})
	if trust.Serial > 0 {
		built := fingerprint(c.trust())
		s.trust = replace(s.trust, trusted{c.Product, built, trust}, func(t trusted) bool {
			return t.Product == c.Product && bytes.Equal(t.Built, built)
		})
	}
}

// replace puts element where its predecessor is, or else at the end.
func replace[T any](list []T, element T, predecessor func(T) bool) []T {
	if i := slices.IndexFunc(list, predecessor); i >= 0 {
		list[i] = element
		return list
	}
	return append(list, element)
}
