package step

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/upkeep-go/upkeep/internal/minisign"
	"github.com/upkeep-go/upkeep/update"
)

// Key is a public key by which the artifacts of releases are signed: an
// ed25519 key, for signatures of the artifact's SHA-256, or a minisign key,
// for signature files of the minisign tool (those of the file's hash, which it
// makes by default; those of the whole file are refused).
type Key struct { // one of both
	plain    ed25519.PublicKey
	minisign *minisign.Key
}

// ParseKey reads a key: the base64 of the 32 bytes of an ed25519 key, or
// minisign's text of one, with its comment line or without.
func ParseKey(text string) (Key, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if key := (Key{plain: raw}); err == nil && key.valid() {
		return key, nil
	}
	key, err := minisign.ParseKey(text)
	if err != nil {
		return Key{}, errors.New("step: the key is neither an ed25519 key in base64 nor one of minisign")
	}
	return Key{minisign: &key}, nil
}

// Ed25519Key is the Key of an ed25519 public key. Steps refuse to work with one
// that does not have 32 bytes, or only zeros, which anybody can sign for.
func Ed25519Key(key ed25519.PublicKey) Key { return Key{plain: bytes.Clone(key)} }

func (k Key) valid() bool {
	return k.minisign != nil || len(k.plain) == ed25519.PublicKeySize && !bytes.Equal(k.plain, unset)
}

// unset is what a key is that was never filled in.
var unset = make(ed25519.PublicKey, ed25519.PublicKeySize)

// seal is what an artifact must be to be the one of a release.
type seal struct {
	digest   []byte // SHA-256, or nil
	size     int64  // or 0
	keys     []Key  // one of them has signed, unless there are none
	plain    []byte // signature by ed25519, or nil
	minisign *minisign.Signature
}

// newSeal refuses a release that no artifact can be good for, before anything
// is downloaded.
func newSeal(r update.Release, keys []Key) (seal, error) {
	s := seal{digest: r.Digest, size: r.Size, keys: keys}
	refuse := func(err error) (seal, error) {
		return seal{}, fmt.Errorf("release %q: %w", r.Version, err)
	}
	for i, k := range keys {
		if !k.valid() {
			return seal{}, fmt.Errorf("step: key %d is none", i+1)
		}
	}
	switch {
	case len(r.Digest) != 0 && len(r.Digest) != sha256.Size:
		return refuse(fmt.Errorf("step: the digest has %d bytes and is no SHA-256", len(r.Digest)))
	case len(keys) == 0 && len(r.Digest) == 0:
		return refuse(errors.New("step: nothing to check the artifact by: the release has no digest, and no keys are given"))
	case len(keys) == 0:
		return s, nil
	case len(r.Signature) == 0:
		return refuse(errors.New("step: it is not signed"))
	case !minisign.Is(r.Signature):
		s.plain = r.Signature
		if len(s.digest) > 0 {
			if err := s.checkPlain(s.digest); err != nil {
				return refuse(err)
			}
		}
		return s, nil
	}
	signature, err := minisign.ParseSignature(r.Signature)
	if err != nil {
		return refuse(err)
	}
	s.minisign = &signature
	if err := s.checkMinisign(func(k minisign.Key) error { return k.Matches(signature) }); err != nil {
		return refuse(err)
	}
	return s, nil
}

// sums is what is computed of an artifact while it passes.
type sums struct {
	sha256 hash.Hash
	blake  hash.Hash // nil unless the signature needs it
	size   int64
}

func (s seal) newSums() *sums {
	sum := &sums{sha256: sha256.New()}
	if s.minisign != nil {
		sum.blake, _ = blake2b.New512(nil) // an error is one of the key, and there is none
	}
	return sum
}

// Write never fails.
func (s *sums) Write(p []byte) (int, error) {
	s.sha256.Write(p)
	if s.blake != nil {
		s.blake.Write(p)
	}
	s.size += int64(len(p))
	return len(p), nil
}

// Reset forgets what has passed.
func (s *sums) Reset() {
	s.sha256.Reset()
	if s.blake != nil {
		s.blake.Reset()
	}
	s.size = 0
}

// check tells whether what has passed is the release's artifact.
func (s seal) check(sum *sums) error {
	digest := sum.sha256.Sum(nil)
	switch {
	case s.size > 0 && sum.size != s.size:
		return fmt.Errorf("step: the artifact has %d bytes, not %d", sum.size, s.size)
	case len(s.digest) > 0 && !bytes.Equal(digest, s.digest):
		return fmt.Errorf("step: the artifact has the SHA-256 %x, not %x", digest, s.digest)
	case s.minisign != nil:
		blake := sum.blake.Sum(nil)
		return s.checkMinisign(func(k minisign.Key) error { return k.Verify(blake, *s.minisign) })
	case s.plain != nil:
		return s.checkPlain(digest)
	}
	return nil
}

// checkAll is check of everything that r has.
func (s seal) checkAll(r io.Reader) error {
	sum := s.newSums()
	if _, err := io.Copy(sum, r); err != nil {
		return err
	}
	return s.check(sum)
}

func (s seal) checkPlain(digest []byte) error {
	for _, k := range s.keys {
		if k.plain != nil && ed25519.Verify(k.plain, digest, s.plain) {
			return nil
		}
	}
	return errors.New("step: the signature is not by one of the keys, or not of this artifact")
}

// checkMinisign asks each minisign key. Of several errors it returns the one
// of the key that has signed.
func (s seal) checkMinisign(ask func(minisign.Key) error) error {
	err := minisign.ErrOtherKey
	for _, k := range s.keys {
		if k.minisign == nil {
			continue
		}
		e := ask(*k.minisign)
		if e == nil {
			return nil
		}
		if !errors.Is(e, minisign.ErrOtherKey) {
			err = e
		}
	}
	return err
}
