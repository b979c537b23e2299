package manifest

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// maxRotations bounds how many rotations a file has.
const maxRotations = 64

// File is what a server serves: the manifest, and every rotation of keys there
// was. Nothing in it is to be believed before Open.
type File struct {
	Rotations []Envelope `json:"rotations,omitempty"` // oldest first
	Manifest  Envelope   `json:"manifest"`
}

// Rotation replaces the keys of a product.
type Rotation struct {
	Product string              `json:"product"`
	Serial  int64               `json:"serial"` // rises with every rotation of the product; 1 at least
	Keys    []ed25519.PublicKey `json:"keys"`   // trusted from now on, 1 to 8
}

// Trust is what a program has come to trust.
type Trust struct {
	Serial int64               `json:"serial"` // of the last rotation it followed, 0 for none
	Keys   []ed25519.PublicKey `json:"keys"`
}

// Parse reads a file. It returns ErrMalformed for what is none.
func Parse(text []byte) (File, error) {
	if len(text) > MaxSize {
		return File{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxSize)
	}
	var f File
	if err := decode(text, &f); err != nil {
		return File{}, err
	}
	if len(f.Rotations) > maxRotations {
		return File{}, fmt.Errorf("%w: %d rotations, at most %d are allowed", ErrMalformed, len(f.Rotations), maxRotations)
	}
	return f, nil
}

// Encode writes the file.
func (f File) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest: writing the file: %w", err)
	}
	if text = append(text, '\n'); len(text) > MaxSize {
		return nil, fmt.Errorf("%w: the file has %d bytes, at most %d are allowed", ErrMalformed, len(text), MaxSize)
	}
	return text, nil
}

// Sign makes m the manifest of the file. Every reader needs to trust one of the keys.
func (f *File) Sign(m Manifest, keys ...ed25519.PrivateKey) error {
	payload, err := m.encode()
	if err != nil {
		return err
	}
	envelope, err := seal(typeManifest, payload, keys)
	if err != nil {
		return err
	}
	f.Manifest = envelope
	return nil
}

// Rotate adds a rotation, to be signed with a key that is trusted before it.
// Its Serial must be above those of the file. The manifest is then to be signed
// with one of the new keys.
func (f *File) Rotate(r Rotation, keys ...ed25519.PrivateKey) error {
	if err := r.check(); err != nil {
		return err
	}
	last, err := f.LastRotation()
	switch {
	case err != nil:
		return err
	case r.Serial <= last:
		return fmt.Errorf("manifest: rotation %d after rotation %d", r.Serial, last)
	case len(f.Rotations) == maxRotations:
		return fmt.Errorf("manifest: the file has %d rotations, which is the limit", maxRotations)
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("manifest: writing a rotation: %w", err)
	}
	envelope, err := seal(typeRotation, payload, keys)
	if err != nil {
		return err
	}
	f.Rotations = append(f.Rotations, envelope)
	return nil
}

// LastRotation returns the highest Serial of the file's rotations, 0 for none.
// No signature is looked at: it is for who made the file.
func (f File) LastRotation() (int64, error) {
	var last int64
	for _, e := range f.Rotations {
		r, err := decodeRotation(e.Payload)
		if err != nil {
			return 0, err
		}
		last = max(last, r.Serial)
	}
	return last, nil
}

// Open follows the rotations for product from what is trusted, and returns the
// manifest and what is trusted then. Rotations that no trusted key has signed
// are passed over: they are of another time, or nobody's. Of the manifest
// nothing is checked but signature and form; see State.Accept.
func (f File) Open(product string, trust Trust) (Manifest, Trust, error) {
	for _, e := range f.Rotations {
		payload, err := e.open(typeRotation, trust.Keys)
		if errors.Is(err, ErrSignature) {
			continue
		}
		if err != nil {
			return Manifest{}, Trust{}, err
		}
		r, err := decodeRotation(payload)
		if err != nil {
			return Manifest{}, Trust{}, err
		}
		if r.Product == product && r.Serial > trust.Serial {
			trust = Trust{Serial: r.Serial, Keys: slices.Clone(r.Keys)}
		}
	}
	payload, err := f.Manifest.open(typeManifest, trust.Keys)
	if err != nil {
		return Manifest{}, Trust{}, err
	}
	m, err := decodeManifest(payload)
	if err != nil {
		return Manifest{}, Trust{}, err
	}
	return m, trust, nil
}

func decodeRotation(payload []byte) (Rotation, error) {
	var r Rotation
	if err := decode(payload, &r); err != nil {
		return Rotation{}, err
	}
	return r, r.check()
}

func (r Rotation) check() error {
	if !name(r.Product, 256) {
		return fmt.Errorf("%w: rotation for product %.64q", ErrMalformed, r.Product)
	}
	if r.Serial < 1 || r.Serial == math.MaxInt64 {
		return fmt.Errorf("%w: rotation %d", ErrMalformed, r.Serial)
	}
	if err := checkKeys(r.Keys); err != nil {
		return fmt.Errorf("%w: rotation %d: %w", ErrMalformed, r.Serial, err)
	}
	return nil
}
