package lv

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/canonjson"
)

// Canonical returns the form in which contents are compared: names sorted by
// their bytes, no white space, strings with as few escapes as JSON allows,
// numbers as they were written (1.0 is not 1, and 9007199254740993 stays
// exact). What is not one JSON value, not UTF-8, nested more than 1,000 deep,
// or has a name twice or half a surrogate pair is ErrInvalid.
func Canonical(content json.RawMessage) (json.RawMessage, error) {
	canonical, err := canonjson.Canonical(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return canonical, nil
}

// Digest returns the SHA-256 of the canonical form: two contents are the same
// if their digests are.
func Digest(content json.RawMessage) ([sha256.Size]byte, error) {
	canonical, err := Canonical(content)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(canonical), nil
}

// isValid is json.Valid, some times faster: every content that is read into
// memory passes here.
func isValid(content []byte) bool { return canonjson.Valid(content) }
