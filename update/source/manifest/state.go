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
	// Keys are all that were trusted when it was accepted, or one before it that
	// it follows. With a serial and no keys, nobody knows which.
	Keys []ed25519.PublicKey `json:"keys,omitempty"`
}

// trusted is what came of the keys that a program was built with.
type trusted struct {
	Product string `json:"product"`
	Built   Digest `json:"built"` // SHA-256 of those keys
	// Took is how many of those keys have signed at least what replaced them.
	Took int                 `json:"took,omitempty"`
	Past []ed25519.PublicKey `json:"past,omitempty"` // which were trusted once
	Trust
}

// stored is State in JSON. A library that knows format 1 alone would take one key
// where it takes several.
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
	if s.Format != 1 && s.Format != 2 {
		return nil, fmt.Errorf("manifest: the state has format %d, want 1 or 2", s.Format)
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
	format := 1
	if slices.ContainsFunc(s.trust, func(t trusted) bool { return max(t.Threshold, t.Took) > 1 }) {
		format = 2
	}
	text, err := json.Marshal(stored{Format: format, Seen: s.seen, Trust: s.trust})
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
	// one of its own. A build that asks for more of the same Keys than had signed
	// what replaced them begins anew.
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
		return Manifest{}, named(err)
	}
	f, err := Parse(text)
	if err != nil {
		return Manifest{}, err
	}
	before := s.trusted(c)
	line := s.line(c.Product, before)
	m, trust, replaced, err := f.open(c.Product, before, line...)
	if err != nil {
		return Manifest{}, err
	}
	if m.Product != c.Product || m.Channel != c.Channel {
		return Manifest{}, fmt.Errorf("%w: product %q in channel %q, want %q in %q",
			ErrMismatch, m.Product, m.Channel, c.Product, c.Channel)
	}
	sum := sha256.Sum256(f.Manifest.Payload)
	now := seen{Product: m.Product, Channel: m.Channel, Serial: m.Serial, Digest: sum[:], Issued: m.Issued}
	last := s.last(m.Product, m.Channel)
	if replaced && last.within(line) {
		last = seen{}
	}
	if last.Serial == 0 || last.Keys != nil {
		now.Keys = union(last.Keys, trust.Keys)
	}
	if err := order(last, now, c.MinSerial); err != nil {
		return Manifest{}, err
	}
	if err := s.age(m, c.Now); err != nil {
		return Manifest{}, err
	}
	if replaced {
		s.forget(c.Product, line)
	}
	s.remember(now)
	if trust.Serial > before.Serial {
		s.follow(c, f, trust, line)
	}
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
		return fmt.Errorf("manifest: serial %d: %w", m.Serial, err)
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

// within reports whether all keys under which a manifest was accepted are of a
// line. If not, another build of the program, which has other keys in it, has
// accepted it or one before it, and still goes by it.
func (k seen) within(line []ed25519.PublicKey) bool {
	return len(k.Keys) > 0 && !slices.ContainsFunc(k.Keys, func(key ed25519.PublicKey) bool { return !signed.Has(line, key) })
}

// forget forgets the serials that a product had in all its channels under the keys
// of a line: who has signed them can sign no more. That something was signed at a
// time stays known.
func (s *State) forget(product string, line []ed25519.PublicKey) {
	for i, known := range s.seen {
		if known.Product == product && known.within(line) {
			s.seen[i].Serial, s.seen[i].Digest, s.seen[i].Keys = 0, nil, nil
		}
	}
}

// trust is what a program was built with.
func (c Check) trust() Trust { return Trust{Keys: c.Keys, Threshold: c.Threshold} }

// find returns where it stands what the keys of c have come to, -1 for nowhere. What
// fewer of them have signed than c asks for does not count.
func (s *State) find(c Check) int {
	built, found := fingerprint(c.Keys), -1
	for i, t := range s.trust {
		if t.Product == c.Product && bytes.Equal(t.Built, built) && max(t.Took, 1) >= c.Threshold &&
			(found < 0 || t.Serial > s.trust[found].Serial) {
			found = i
		}
	}
	return found
}

// trusted is what the keys of c have come to.
func (s *State) trusted(c Check) Trust {
	if i := s.find(c); i >= 0 {
		return s.trust[i].Trust
	}
	return c.trust()
}

// line returns the keys of t, and all that led to them, of whichever build.
func (s *State) line(product string, t Trust) []ed25519.PublicKey {
	line, now := slices.Clone(t.Keys), fingerprint(t.Keys)
	for _, other := range s.trust {
		if other.Product == product && bytes.Equal(fingerprint(other.Keys), now) {
			line = union(line, other.Past)
		}
	}
	return line
}

func union(a, b []ed25519.PublicKey) []ed25519.PublicKey {
	all := slices.Clone(a)
	for _, key := range b {
		if !signed.Has(all, key) {
			all = append(all, key)
		}
	}
	return all
}

// fingerprint names a set of keys, whatever their order.
func fingerprint(keys []ed25519.PublicKey) Digest {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	sum := sha256.New()
	for _, key := range keys {
		sum.Write(key)
	}
	return sum.Sum(nil)
}

// took returns the highest threshold with which the keys of c would have come to
// trust the same.
func took(c Check, f File, trust Trust) int {
	for n := len(c.Keys); n > c.Threshold; n-- {
		same, _, err := Trust{Keys: c.Keys, Threshold: n}.Follow(typeRotation, c.Product, f.Rotations)
		if err == nil && same.Serial == trust.Serial && same.Threshold == trust.Threshold &&
			bytes.Equal(fingerprint(same.Keys), fingerprint(trust.Keys)) {
			return n
		}
	}
	return max(c.Threshold, 1)
}

func (s *State) remember(now seen) {
	i := slices.IndexFunc(s.seen, func(known seen) bool {
		return known.Product == now.Product && known.Channel == now.Channel
	})
	s.seen = put(s.seen, i, now)
}

// follow remembers what the keys of c have come to.
func (s *State) follow(c Check, f File, trust Trust, past []ed25519.PublicKey) {
	next, i := trusted{Product: c.Product, Built: fingerprint(c.Keys), Past: past, Trust: trust}, s.find(c)
	if i < 0 {
		next.Took = took(c, f, trust)
	} else {
		next.Took = s.trust[i].Took
	}
	s.trust = put(s.trust, i, next)
}

// put puts element at i, or at the end if that is nowhere.
func put[T any](list []T, i int, element T) []T {
	if i < 0 {
		return append(list, element)
	}
	list[i] = element
	return list
}
