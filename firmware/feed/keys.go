package feed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/signed"
)

var _ firmware.Verifier = Keys{}

// Keys verifies ed25519 signatures, of which Threshold must be by distinct
// Trusted keys, or by keys to which rotations lead, each signed by as many of
// the keys before it as their threshold asks for. It unpacks what a Publisher
// has packed.
//
// A key that was rotated out never counts again, also in a file without the
// rotation, once a device has accepted a catalog with it. An image that is built
// with other Trusted keys begins with those, and leaves the trust of the image
// before as it is for when that runs again.
type Keys struct {
	Trusted   []ed25519.PublicKey // required, 1 to 8, as ParsePublicKey reads them
	Threshold int                 // default 1
}

// ParsePublicKey reads a key as upkeep-feed keys writes it, such as the text of
// upkeep.pub that go:embed has built into a program. Space around it is ignored.
// Anything else is firmware.ErrInvalid.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	key, err := signed.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", firmware.ErrInvalid, err)
	}
	return key, nil
}

// ParsePrivateKey reads a key as upkeep-feed keys writes it, such as
// upkeep.key, or OpenSSL: in PKCS #8 and PEM. Anything else is
// firmware.ErrInvalid, and no error repeats any of it.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	key, err := signed.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", firmware.ErrInvalid, err)
	}
	return key, nil
}

// maxTrusts bounds how many sets of built-in keys a device remembers.
const maxTrusts = 8

// memory is the trust that a Service keeps, in JSON.
type memory struct {
	Format int       `json:"format"`
	Number int64     `json:"number"` // the highest accepted
	SHA256 []byte    `json:"sha256"` // of the catalog with it, as it was signed
	Trusts []lineage `json:"trusts"` // the last used first
}

// lineage is what came of the keys that a program was built with.
type lineage struct {
	Product string `json:"product"`
	Built   []byte `json:"built"` // SHA-256 of those keys
	signed.Trust
}

func (k Keys) built() []byte {
	keys := slices.Clone(k.Trusted)
	slices.SortFunc(keys, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n", max(k.Threshold, 1))
	for _, key := range keys {
		sum.Write(key)
	}
	return sum.Sum(nil)
}

func (k Keys) check() error {
	if err := signed.CheckKeys(k.Trusted); err != nil {
		return fmt.Errorf("%w: Keys.Trusted: %w", firmware.ErrInvalid, err)
	}
	if k.Threshold < 0 || k.Threshold > len(k.Trusted) {
		return fmt.Errorf("%w: Keys.Threshold is %d with %d keys", firmware.ErrInvalid, k.Threshold, len(k.Trusted))
	}
	return nil
}

// remembered reads what a Service kept.
func (k Keys) remembered(trust []byte) (m memory, err error) {
	if len(trust) == 0 {
		return memory{Format: 1}, nil
	}
	if err := decode(trust, &m); err != nil {
		return m, fmt.Errorf("the trust that was kept: %w", err)
	}
	if m.Format != 1 {
		return m, fmt.Errorf("%w: the trust that was kept has format %d", firmware.ErrCorrupt, m.Format)
	}
	for _, t := range m.Trusts {
		if err := signed.CheckKeys(t.Keys); err != nil {
			return m, fmt.Errorf("%w: the trust that was kept: %w", firmware.ErrCorrupt, err)
		}
	}
	return m, nil
}

// trust is what the built-in keys have come to for a product.
func (m memory) trust(k Keys, product string) signed.Trust {
	built := k.built()
	for _, t := range m.Trusts {
		if t.Product == product && bytes.Equal(t.Built, built) {
			return t.Trust
		}
	}
	return signed.Trust{Keys: k.Trusted, Threshold: max(k.Threshold, 1)}
}

// Catalog implements firmware.Verifier.
func (k Keys) Catalog(_ context.Context, raw, trust []byte) (firmware.Catalog, []byte, error) {
	payload, m, err := k.open(raw, trust, typeCatalog)
	if err != nil {
		return firmware.Catalog{}, nil, err
	}
	c, err := decodeCatalog(payload)
	if err != nil {
		return firmware.Catalog{}, nil, err
	}
	sum := sha256.Sum256(payload)
	switch {
	case c.Number < m.Number:
		return firmware.Catalog{}, nil, fmt.Errorf("%w: number %d after %d", firmware.ErrReplayed, c.Number, m.Number)
	case c.Number == m.Number && !bytes.Equal(m.SHA256, sum[:]):
		return firmware.Catalog{}, nil, fmt.Errorf("%w: number %d had another content", firmware.ErrReplayed, c.Number)
	}
	m.Number, m.SHA256 = c.Number, sum[:]
	next, err := json.Marshal(m)
	return c, next, err
}

// Bundle implements firmware.Verifier.
func (k Keys) Bundle(_ context.Context, raw, trust []byte) (firmware.Bundle, error) {
	payload, _, err := k.open(raw, trust, typeBundle)
	if err != nil {
		return firmware.Bundle{}, err
	}
	return decodeBundle(payload)
}

// open returns what is signed in a file, and what is trusted then.
func (k Keys) open(raw, trust []byte, typ string) ([]byte, memory, error) {
	if err := k.check(); err != nil {
		return nil, memory{}, err
	}
	m, err := k.remembered(trust)
	if err != nil {
		return nil, memory{}, err
	}
	f, err := parseFile(raw)
	if err != nil {
		return nil, memory{}, err
	}
	product := f.Signed.Claimed()
	now, replaced, err := m.trust(k, product).Follow(typeRotation, product, f.Rotations)
	if err != nil {
		return nil, memory{}, translated(err)
	}
	if f.Signed.Type != typ {
		return nil, memory{}, fmt.Errorf("%w: it is for %.64q, not for %q", firmware.ErrSignature, f.Signed.Type, typ)
	}
	payload, err := f.Signed.Open(typ, now.Keys, now.Threshold)
	if err != nil {
		return nil, memory{}, translated(err)
	}
	// Whoever signed the last catalog cannot sign any more: it may have been a
	// thief, who has made the number as high as can be.
	if replaced || len(m.Trusts) > 0 && outnumbered(m.Trusts[0].Trust, now) {
		m.Number, m.SHA256 = 0, nil
	}
	next := lineage{Product: product, Built: k.built(), Trust: now}
	m.Trusts = slices.DeleteFunc(m.Trusts, func(t lineage) bool { return t.Product == product && bytes.Equal(t.Built, next.Built) })
	m.Trusts = append([]lineage{next}, m.Trusts[:min(len(m.Trusts), maxTrusts-1)]...)
	return payload, m, nil
}

// outnumbered reports whether too few of the keys trusted before are trusted now
// to sign anything: the program was built with others.
func outnumbered(before, now signed.Trust) bool {
	left := 0
	for _, key := range before.Keys {
		if slices.ContainsFunc(now.Keys, func(k ed25519.PublicKey) bool { return k.Equal(key) }) {
			left++
		}
	}
	return left < max(before.Threshold, 1)
}

// translated is an error of package signed as one of this domain.
func translated(err error) error {
	if errors.Is(err, signed.ErrSignature) {
		return fmt.Errorf("%w: %w", firmware.ErrSignature, err)
	}
	return fmt.Errorf("%w: %w", firmware.ErrCorrupt, err)
}
