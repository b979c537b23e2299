package manifest

import (
	"crypto/ed25519"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// ParsePublicKey reads what FormatPublicKey writes. Space around it is ignored.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	key, err := signed.ParsePublicKey(text)
	return key, named(err)
}

// FormatPublicKey writes the 32 bytes of a key in base64.
func FormatPublicKey(key ed25519.PublicKey) string { return signed.FormatPublicKey(key) }

// ParsePrivateKey reads an ed25519 key in PKCS #8 and PEM, as
// FormatPrivateKey and OpenSSL write it. No error repeats any of it.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	key, err := signed.ParsePrivateKey(text)
	return key, named(err)
}

// FormatPrivateKey writes a key in PKCS #8 and PEM. Who can read it can sign.
func FormatPrivateKey(key ed25519.PrivateKey) ([]byte, error) {
	text, err := signed.FormatPrivateKey(key)
	return text, named(err)
}

// KeyID is a short name of a key, for people and for logs.
func KeyID(key ed25519.PublicKey) string { return signed.KeyID(key) }
