package manifest

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// File is what a server serves: the manifest, and every rotation of keys there
// was. Nothing in it is to be believed before Open.
type File struct {
	Rotations []Envelope `json:"rotations,omitempty"` // oldest first
	Manifest  Envelope   `json:"manifest"`
}

// What is signed, and by whom. The bytes of an Envelope are believed by nobody
// before one of the keys that are trusted has signed them.
type (
	// Envelope carries bytes that are signed, as DSSE has it: Type, Payload and
	// Signatures.
	Envelope = signed.Envelope
	// Signature is one key's over an Envelope: Value, and KeyID for people.
	Signature = signed.Signature
	// Rotation replaces the keys of a Product by Keys, of which as many must sign
	// from then on as its Threshold says, 0 being 1. Its Serial rises with every
	// rotation of the product.
	Rotation = signed.Rotation
	// Trust is what a program has come to trust: Keys, the Threshold of them, and
	// the Serial of the last rotation it followed.
	Trust = signed.Trust
)

// What a signature is for, so that a rotation is never taken for a manifest, nor
// either for what another program signed.
const (
	typeManifest = "application/vnd.upkeep.manifest.v1+json"
	typeRotation = "application/vnd.upkeep.rotation.v1+json"
)

// Parse reads a file. It returns ErrMalformed for what is none.
func Parse(text []byte) (File, error) {
	if len(text) > MaxSize {
		return File{}, fmt.Errorf("manifest: %w: more than %d bytes", ErrMalformed, MaxSize)
	}
	var f File
	if err := signed.DecodeKnown(text, &f); err != nil {
		return File{}, named(err)
	}
	if len(f.Rotations) > signed.MaxRotations {
		return File{}, fmt.Errorf("manifest: %w: %d rotations, at most %d are allowed", ErrMalformed, len(f.Rotations), signed.MaxRotations)
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
		return nil, fmt.Errorf("manifest: %w: the file has %d bytes, at most %d are allowed", ErrMalformed, len(text), MaxSize)
	}
	return text, nil
}

// Sign makes m the manifest of the file. Every reader needs to trust as many of
// the keys as its threshold says, as a rule one.
func (f *File) Sign(m Manifest, keys ...ed25519.PrivateKey) error {
	payload, err := m.encode()
	if err != nil {
		return err
	}
	envelope, err := signed.Seal(typeManifest, payload, keys...)
	if err != nil {
		return named(err)
	}
	f.Manifest = envelope
	return nil
}

// Rotate adds a rotation, to be signed with as many of the keys that are trusted
// before it as it takes then. Its Serial is that of NextSerial. The
// manifest is then to be signed with the new keys. A key that was trusted once, and
// then no more, is refused.
func (f *File) Rotate(r Rotation, keys ...ed25519.PrivateKey) error {
	chain, err := signed.Rotate(typeRotation, f.Rotations, r, keys...)
	if err != nil {
		return named(err)
	}
	f.Rotations = chain
	return nil
}

// NextSerial returns the Serial of a rotation that is added now by those who have
// come to trust this, as Open tells: above those of the file, but for one that is
// far ahead and was not followed, which is a thief's.
func (f File) NextSerial(trust Trust, now time.Time) (int64, error) {
	serial, err := trust.NextSerial(f.Rotations, now)
	return serial, named(err)
}

// Open follows the rotations for product from what is trusted, and returns the
// manifest and what is trusted then. Rotations that too few trusted keys have
// signed are passed over: they are of another time, or nobody's. Of the manifest
// nothing is checked but signatures and form; see State.Accept. Who signs it anew
// trusts by the Threshold that programs have, never by less: what a thief of one key
// has written would get the other signatures.
func (f File) Open(product string, trust Trust) (Manifest, Trust, error) {
	m, trust, _, err := f.open(product, trust)
	return m, trust, err
}

// open is Open, which also says whether the keys were replaced, of which those of
// past were trusted before.
func (f File) open(product string, trust Trust, past ...ed25519.PublicKey) (m Manifest, next Trust, replaced bool, err error) {
	next, replaced, err = trust.Follow(typeRotation, product, f.Rotations, past...)
	if err != nil {
		return Manifest{}, Trust{}, false, named(err)
	}
	payload, err := f.Manifest.Open(typeManifest, next.Keys, next.Threshold)
	if err != nil {
		return Manifest{}, Trust{}, false, named(err)
	}
	if m, err = decodeManifest(payload); err != nil {
		return Manifest{}, Trust{}, false, err
	}
	return m, next, replaced, nil
}
