package signed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// MaxKeys bounds how many keys are trusted at a time, and how many sign.
const MaxKeys = 8

const privateBlock = "PRIVATE KEY"

// unset is what a key is that was never filled in.
var unset = make(ed25519.PublicKey, ed25519.PublicKeySize)

// ErrPrivate reports a private key where a public one is wanted.
var ErrPrivate = errors.New("this is a private key: want the public one")

// ParsePublicKey reads what FormatPublicKey writes. Space around it is ignored.
// No error repeats any of a private key: ErrPrivate.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	if strings.Contains(text, privateBlock) {
		return nil, ErrPrivate
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%.64q is not a public key: want %d bytes in base64", text, ed25519.PublicKeySize)
	}
	return key, nil
}

// FormatPublicKey writes the 32 bytes of a key in base64.
func FormatPublicKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

// ParsePrivateKey reads an ed25519 key in PKCS #8 and PEM, as
// FormatPrivateKey and OpenSSL write it. No error repeats any of it.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != privateBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("want one PEM block with a " + strings.ToLower(privateBlock))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key is not one in PKCS #8")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("want an ed25519 key, not %T", key)
	}
	return private, nil
}

// FormatPrivateKey writes a key in PKCS #8 and PEM. Who can read it can sign.
func FormatPrivateKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// KeyID is a short name of a key, for people and for logs.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// usable reports whether a key can be trusted at all.
func usable(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && !key.Equal(unset)
}

// CheckKeys refuses keys that cannot be trusted together: none, too many, one
// that is none, or the same one twice.
func CheckKeys(keys []ed25519.PublicKey) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("%d keys, want 1 to %d", len(keys), MaxKeys)
	}
	for i, key := range keys {
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("key %d has %d bytes, want %d", i+1, len(key), ed25519.PublicKeySize)
		}
		if key.Equal(unset) {
			return fmt.Errorf("key %d is all zeros, which anybody can sign for", i+1)
		}
		for _, earlier := range keys[:i] {
			if key.Equal(earlier) {
				return fmt.Errorf("key %s is listed twice", KeyID(key))
			}
		}
	}
	return nil
}
