// Package minisign checks the signatures that the minisign tool makes of
// files. It takes those of a file's hash, which the tool has made by default
// since 0.10, and none of the whole file: they cannot be checked in one pass
// without keeping the file in memory.
package minisign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// What may be wrong with a signature that can be read.
var (
	// ErrLegacy reports a signature of a whole file.
	ErrLegacy = errors.New("minisign: the signature is one of the whole file, not of its hash: sign with minisign -H")
	// ErrOtherKey reports a signature by another key.
	ErrOtherKey = errors.New("minisign: the signature is by another key")
	// ErrForged reports a signature that is not one of the content or of its
	// trusted comment.
	ErrForged = errors.New("minisign: the signature is not one of this file")
)

const (
	maxText       = 8 << 10 // bytes of a signature file
	trustedPrefix = "trusted comment: "
	plainMark     = "Ed"
	hashedMark    = "ED"
)

// Key is a public key.
type Key struct {
	id  [8]byte
	key ed25519.PublicKey
}

// ParseKey reads a public key: the base64 text, with the comment line above it
// or without.
func ParseKey(text string) (Key, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	raw, err := decode(lines[len(lines)-1], 2+8+ed25519.PublicKeySize)
	if err != nil || string(raw[:2]) != plainMark {
		return Key{}, errors.New("minisign: not a public key")
	}
	if bytes.Equal(raw[10:], make([]byte, ed25519.PublicKeySize)) {
		return Key{}, errors.New("minisign: a key of zeros, which anybody can sign for")
	}
	return Key{id: [8]byte(raw[2:10]), key: raw[10:]}, nil
}

// Signature is what a signature file says.
type Signature struct {
	id      [8]byte
	legacy  bool
	content [ed25519.SignatureSize]byte // of the content's hash
	Comment string                      // trusted once Verify has succeeded
	all     [ed25519.SignatureSize]byte // of content and Comment
}

// Is reports whether text looks like a signature file.
func Is(text []byte) bool { return bytes.HasPrefix(text, []byte("untrusted comment:")) }

// ParseSignature reads a signature file.
func ParseSignature(text []byte) (Signature, error) {
	malformed := func(what string) (Signature, error) {
		return Signature{}, fmt.Errorf("minisign: not a signature file: %s", what)
	}
	if len(text) > maxText {
		return malformed("it is too long")
	}
	lines := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	if len(lines) != 4 || !Is(text) {
		return malformed("it has no four lines that begin with an untrusted comment")
	}
	var s Signature
	raw, err := decode(lines[1], 2+8+ed25519.SignatureSize)
	if err != nil {
		return malformed("the second line")
	}
	switch string(raw[:2]) {
	case hashedMark:
	case plainMark:
		s.legacy = true
	default:
		return malformed("an unknown kind of signature")
	}
	s.id, s.content = [8]byte(raw[2:10]), [ed25519.SignatureSize]byte(raw[10:])
	comment, found := strings.CutPrefix(lines[2], trustedPrefix)
	if !found {
		return malformed("the third line")
	}
	s.Comment = comment
	if raw, err = decode(lines[3], ed25519.SignatureSize); err != nil {
		return malformed("the fourth line")
	}
	s.all = [ed25519.SignatureSize]byte(raw)
	return s, nil
}

// Matches tells, without the file, whether s can be one by k.
func (k Key) Matches(s Signature) error {
	switch {
	case s.legacy:
		return ErrLegacy
	case s.id != k.id:
		return ErrOtherKey
	case !ed25519.Verify(k.key, append(s.content[:], s.Comment...), s.all[:]):
		return ErrForged
	}
	return nil
}

// Verify tells whether s is a signature by k of the file with this BLAKE2b-512
// sum.
func (k Key) Verify(sum []byte, s Signature) error {
	if err := k.Matches(s); err != nil {
		return err
	}
	if !ed25519.Verify(k.key, sum, s.content[:]) {
		return ErrForged
	}
	return nil
}

// decode reads base64 of n bytes.
func decode(text string, n int) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != n {
		return nil, errors.New("minisign: not base64 of the right length")
	}
	return raw, nil
}
