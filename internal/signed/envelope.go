// Package signed has what signed lists of versions have in common: bytes that are
// signed (envelope.go), by whom (keys.go), how trust moves from keys to keys
// (rotation.go), when they count (age.go), and JSON that every parser reads alike
// (strict.go). It keeps nothing and asks nobody.
package signed

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
)

// Envelope carries bytes that are signed: a DSSE envelope, version 1.0.2. Type is
// what a signature is for, and part of what is signed, so that nothing is ever
// taken for something else that the same key has signed.
type Envelope struct {
	Type       string      `json:"payloadType"`
	Payload    []byte      `json:"payload"` // in base64, as JSON has it
	Signatures []Signature `json:"signatures"`
}

// Signature is one key's over an Envelope.
type Signature struct {
	KeyID string `json:"keyid"` // not signed: for people
	Value []byte `json:"sig"`
}

// Seal signs payload with every key.
func Seal(payloadType string, payload []byte, keys ...ed25519.PrivateKey) (Envelope, error) {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return Envelope{}, fmt.Errorf("%d keys to sign with, want 1 to %d", len(keys), MaxKeys)
	}
	e := Envelope{Type: payloadType, Payload: payload}
	message := e.message()
	for _, key := range keys {
		public := key.Public().(ed25519.PublicKey)
		e.Signatures = append(e.Signatures, Signature{KeyID: KeyID(public), Value: ed25519.Sign(key, message)})
	}
	return e, nil
}

// Open returns the payload if it is of the type and as many of the keys as the
// threshold says have signed it, 0 being 1. A key counts once, however often it is
// listed or has signed, and whatever its signatures say it is called. Open looks
// into nothing before that.
func (e Envelope) Open(payloadType string, keys []ed25519.PublicKey, threshold int) ([]byte, error) {
	if e.Type != payloadType {
		return nil, fmt.Errorf("%w: %.64q, want %q", ErrMalformed, e.Type, payloadType)
	}
	if len(e.Signatures) > MaxKeys {
		return nil, fmt.Errorf("%w: %d signatures, at most %d are allowed", ErrMalformed, len(e.Signatures), MaxKeys)
	}
	message := e.message()
	signers, threshold := 0, max(threshold, 1)
	for i, key := range keys {
		if !usable(key) || Has(keys[:i], key) {
			continue
		}
		if slices.ContainsFunc(e.Signatures, func(s Signature) bool { return ed25519.Verify(key, message, s.Value) }) {
			signers++
		}
	}
	if signers < threshold {
		return nil, fmt.Errorf("%w: by %d of the %d that it takes", ErrSignature, signers, threshold)
	}
	return e.Payload, nil
}

// Claimed is the product that a payload says it is for. Nothing is checked: but a
// rotation of keys for another product is of no use to it.
func (e Envelope) Claimed() string {
	var of struct {
		Product string `json:"product"`
	}
	_ = json.Unmarshal(e.Payload, &of)
	return of.Product
}

// message is what is signed: DSSE's pre-authentication encoding.
func (e Envelope) message() []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.Type), e.Type, len(e.Payload), e.Payload)
}
