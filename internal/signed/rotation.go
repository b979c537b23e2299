package signed

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode"
	"unicode/utf8"
)

// MaxRotations bounds how long a chain of rotations is.
const MaxRotations = 64

// Rotation replaces the keys of a product.
type Rotation struct {
	Product   string              `json:"product"`             // 1 to 256 bytes
	Serial    int64               `json:"serial"`              // rises with every rotation of the product; 1 at least
	Keys      []ed25519.PublicKey `json:"keys"`                // trusted from now on, 1 to 8
	Threshold int                 `json:"threshold,omitempty"` // how many of Keys must sign from now on; 0 is 1
}

// Trust is what a program has come to trust.
type Trust struct {
	Serial    int64               `json:"serial"` // of the last rotation it followed, 0 for none
	Keys      []ed25519.PublicKey `json:"keys"`
	Threshold int                 `json:"threshold,omitempty"` // how many of Keys must sign; 0 is 1
}

// Check refuses keys that cannot be trusted together, and a threshold that they
// cannot reach.
func (t Trust) Check() error {
	if err := CheckKeys(t.Keys); err != nil {
		return err
	}
	if t.Threshold < 0 || t.Threshold > len(t.Keys) {
		return fmt.Errorf("signed: %d of %d keys are to sign", t.Threshold, len(t.Keys))
	}
	return nil
}

// Follow follows the rotations for product among those of a chain, which are
// envelopes of type typ, the oldest first, and returns what is trusted then. As
// many keys must have signed a rotation as it takes before it. Others are passed
// over: they are of another time, or nobody's.
//
// Replaced says that so few of the keys that were trusted before the chain still
// are, that they reach neither the threshold before it nor the one after. Nothing
// that they have signed counts any more, so the highest serial that was seen of
// them may be forgotten, and must be: it may have been a thief's, as high as can
// be.
func (t Trust) Follow(typ, product string, chain []Envelope) (next Trust, replaced bool, err error) {
	next = t
	for _, e := range chain {
		payload, err := e.Open(typ, next.Keys, next.Threshold)
		if errors.Is(err, ErrSignature) {
			continue
		}
		if err != nil {
			return Trust{}, false, err
		}
		r, err := decodeRotation(payload)
		if err != nil {
			return Trust{}, false, err
		}
		if r.Product == product && r.Serial > next.Serial {
			next = Trust{Serial: r.Serial, Keys: slices.Clone(r.Keys), Threshold: r.Threshold}
		}
	}
	kept := 0
	for _, key := range t.Keys {
		if slices.ContainsFunc(next.Keys, func(k ed25519.PublicKey) bool { return k.Equal(key) }) {
			kept++
		}
	}
	return next, kept < max(1, min(t.Threshold, next.Threshold)), nil
}

// Rotate adds a rotation to a chain of envelopes of type typ. Its Serial must be
// above theirs.
func Rotate(typ string, chain []Envelope, r Rotation, keys ...ed25519.PrivateKey) ([]Envelope, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	last, err := LastRotation(chain)
	switch {
	case err != nil:
		return nil, err
	case r.Serial <= last:
		return nil, fmt.Errorf("signed: rotation %d after rotation %d", r.Serial, last)
	case len(chain) >= MaxRotations:
		return nil, fmt.Errorf("signed: there are %d rotations, which is the limit", len(chain))
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("signed: writing a rotation: %w", err)
	}
	envelope, err := Seal(typ, payload, keys...)
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(chain), envelope), nil
}

// LastRotation returns the highest Serial of a chain, 0 for none. No signature is
// looked at: it is for who made the chain.
func LastRotation(chain []Envelope) (int64, error) {
	var last int64
	for _, e := range chain {
		r, err := decodeRotation(e.Payload)
		if err != nil {
			return 0, err
		}
		last = max(last, r.Serial)
	}
	return last, nil
}

func decodeRotation(payload []byte) (Rotation, error) {
	var r Rotation
	if err := DecodeKnown(payload, &r); err != nil {
		return Rotation{}, err
	}
	return r, r.check()
}

func (r Rotation) check() error {
	if !Line(r.Product, 256) {
		return fmt.Errorf("%w: rotation for product %.64q", ErrMalformed, r.Product)
	}
	if r.Serial < 1 || r.Serial == math.MaxInt64 {
		return fmt.Errorf("%w: rotation %d", ErrMalformed, r.Serial)
	}
	if err := (Trust{Keys: r.Keys, Threshold: r.Threshold}).Check(); err != nil {
		return fmt.Errorf("%w: rotation %d: %w", ErrMalformed, r.Serial, err)
	}
	return nil
}

// Line reports whether text can stand in a line of a log: no space at its
// ends, and nothing that cannot be seen.
func Line(text string, limit int) bool {
	if text == "" || len(text) > limit || !utf8.ValidString(text) || text[0] == ' ' || text[len(text)-1] == ' ' {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
