package signed

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
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
		return fmt.Errorf("%d of %d keys are to sign", t.Threshold, len(t.Keys))
	}
	return nil
}

// Follow follows the rotations for product among those of a chain, which are
// envelopes of type typ, the oldest first, and returns what is trusted then. As
// many keys must have signed a rotation as it takes before it. Others are passed
// over: they are of another time, or nobody's.
//
// Replaced says that so few of the keys that were ever trusted before the chain
// was followed still are, that they reach neither the threshold before it nor the
// one after. Nothing that they have signed counts any more, so the highest serial
// that was seen of them may be forgotten, and must be: it may have been a thief's,
// as high as can be. Ever trusted were the keys of t, those of past, and those
// that the links before the first that is followed tell of: what a key had signed
// before it was rotated away counts again once it is back.
func (t Trust) Follow(typ, product string, chain []Envelope, past ...ed25519.PublicKey) (next Trust, replaced bool, err error) {
	next = t
	first := 0
	for i, e := range chain {
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
			if next.Serial == t.Serial {
				first = i
			}
			next = Trust{Serial: r.Serial, Keys: slices.Clone(r.Keys), Threshold: r.Threshold}
		}
	}
	old := slices.Concat(t.Keys, past, told(typ, product, chain[:first], next.Keys))
	kept := 0
	for _, key := range next.Keys {
		if Has(old, key) {
			kept++
		}
	}
	return next, kept < max(1, min(t.Threshold, next.Threshold)), nil
}

// told returns the keys that were trusted once, as far as a chain tells: those of
// its links for product, and those among keys that have signed one. Nothing of it
// is checked: links of a thief can make it longer only.
func told(typ, product string, chain []Envelope, keys []ed25519.PublicKey) (old []ed25519.PublicKey) {
	for _, e := range chain {
		r, err := decodeRotation(e.Payload)
		if err != nil || r.Product != product {
			continue
		}
		old = append(old, r.Keys...)
		for _, key := range keys {
			if _, err := e.Open(typ, []ed25519.PublicKey{key}, 1); err == nil {
				old = append(old, key)
			}
		}
	}
	return old
}

// Has reports whether key is one of keys.
func Has(keys []ed25519.PublicKey, key ed25519.PublicKey) bool {
	return slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(key) })
}

// Rotate adds a rotation to a chain of envelopes of type typ. Its Serial must be
// above theirs, as that of NextSerial is. A key that was trusted once, and then
// no more, cannot come back: all that it had signed would come back with it.
func Rotate(typ string, chain []Envelope, r Rotation, keys ...ed25519.PrivateKey) ([]Envelope, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if len(chain) >= MaxRotations {
		return nil, fmt.Errorf("there are %d rotations, which is the limit", len(chain))
	}
	for _, e := range chain {
		last, err := decodeRotation(e.Payload)
		if err != nil {
			return nil, err
		}
		if last.Serial >= r.Serial && last.Serial-r.Serial <= leap {
			return nil, fmt.Errorf("rotation %d after rotation %d", r.Serial, last.Serial)
		}
	}
	if err := r.checkNew(typ, chain, keys); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing a rotation: %w", err)
	}
	envelope, err := Seal(typ, payload, keys...)
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(chain), envelope), nil
}

// checkNew refuses a key that a chain tells of, but not the last link that the
// keys which sign now are able to follow.
func (r Rotation) checkNew(typ string, chain []Envelope, by []ed25519.PrivateKey) error {
	var before []ed25519.PublicKey
	for _, key := range by {
		before = append(before, key.Public().(ed25519.PublicKey))
	}
	for _, e := range slices.Backward(chain) {
		last, err := decodeRotation(e.Payload)
		if err != nil {
			return err
		}
		signers := slices.DeleteFunc(slices.Clone(last.Keys), func(k ed25519.PublicKey) bool { return !Has(before, k) })
		if last.Product == r.Product && len(signers) >= max(1, last.Threshold) {
			before = last.Keys
			break
		}
	}
	old := told(typ, r.Product, chain, r.Keys)
	for _, key := range r.Keys {
		if Has(old, key) && !Has(before, key) {
			return fmt.Errorf("the key %s was rotated away before: what it had signed would count again", KeyID(key))
		}
	}
	return nil
}

// leap is how many seconds ahead a Serial may be and still be that of a publisher,
// whose clock was wrong for a while.
const leap = 366 * 24 * 60 * 60

// NextSerial returns the Serial of a rotation that is added to a chain now by
// those who have come to trust t: above those of the chain, and the seconds since
// 1970 at least, so that it rises even where a chain was lost. Links that cannot be
// verified any more count too, but not one that is far ahead and that t has not
// followed: it is a thief's, and would leave no room for another.
func (t Trust) NextSerial(chain []Envelope, now time.Time) (int64, error) {
	next := max(t.Serial+1, now.Unix())
	for _, e := range chain {
		r, err := decodeRotation(e.Payload)
		if err != nil {
			return 0, err
		}
		if r.Serial <= now.Unix()+leap {
			next = max(next, r.Serial+1)
		}
	}
	return next, nil
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
