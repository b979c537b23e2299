package feed_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// accept gives the verifier the catalog, and returns what is trusted then.
func (s *shop) accept(trust []byte) []byte {
	s.Helper()
	_, next, err := s.verifier.Catalog(s.Context(), s.read(firmware.CatalogName), trust)
	require.NoError(s, err)
	return next
}

// refuses gives the verifier a file.
func (s *shop) refuses(raw, trust []byte, want error) {
	s.Helper()
	c, next, err := s.verifier.Catalog(s.Context(), raw, trust)
	require.ErrorIs(s, err, want)
	require.Empty(s, c)
	require.Nil(s, next)
}

// small is a shop with a release.
func small(t *testing.T, keys ...ed25519.PrivateKey) *shop {
	s := newShop(t)
	if keys != nil {
		s.Keys = keys
	}
	s.add("1.0.0", code(1, 16))
	return s
}

func (s *shop) renew(after time.Duration) []byte {
	s.Helper()
	s.Time = when.Add(after)
	require.NoError(s, s.Renew(s.Context()))
	return s.read(firmware.CatalogName)
}

func TestAnOlderCatalogIsReplayed(t *testing.T) {
	s := small(t)
	old := s.read(firmware.CatalogName)
	trust := s.accept(nil)
	s.renew(time.Hour)
	trust = s.accept(trust)
	s.accept(trust) // the same one again
	s.refuses(old, trust, firmware.ErrReplayed)

	other := small(t)
	other.renew(time.Hour)
	require.NoError(t, other.Change(t.Context(), "1.0.0", func(r *firmware.Release) { r.Cohort = 1 }))
	number := other.catalog().Number
	trust = other.accept(nil)
	s.Time = time.Unix(number, 0)
	require.NoError(t, s.Renew(t.Context()))
	require.Equal(t, number, s.catalog().Number)
	s.refuses(s.read(firmware.CatalogName), trust, firmware.ErrReplayed) // the same number
}

func TestASignatureIsOfATrustedKey(t *testing.T) {
	s := small(t)
	s.verifier.Trusted = public(key(2))
	s.refuses(s.read(firmware.CatalogName), nil, firmware.ErrSignature)
	s.verifier.Trusted = public(key(2), key(1))
	s.accept(nil)
	s.verifier.Trusted = nil
	s.refuses(s.read(firmware.CatalogName), nil, firmware.ErrInvalid)
	s.verifier = feed.Keys{Trusted: public(key(1)), Threshold: 2}
	s.refuses(s.read(firmware.CatalogName), nil, firmware.ErrInvalid)
}

func TestAThresholdCountsDistinctKeys(t *testing.T) {
	s := small(t, key(1), key(2))
	s.verifier = feed.Keys{Trusted: public(key(1), key(2), key(3)), Threshold: 2}
	s.accept(nil)
	s.verifier.Threshold = 3
	s.refuses(s.read(firmware.CatalogName), nil, firmware.ErrSignature)
	s.verifier.Threshold = 2
	twice := s.edit(firmware.CatalogName, func(f map[string]any) { // one key under two names
		signed := f["signed"].(map[string]any)
		all := signed["signatures"].([]any)
		again := map[string]any{"keyid": "another", "sig": all[0].(map[string]any)["sig"]}
		signed["signatures"] = []any{all[0], again}
	})
	s.refuses(twice, nil, firmware.ErrSignature)
}

func TestOneByteMoreIsNotWhatWasSigned(t *testing.T) {
	s := small(t)
	raw := s.edit(firmware.CatalogName, func(f map[string]any) {
		signed := f["signed"].(map[string]any)
		var payload []byte
		text, _ := json.Marshal(signed["payload"])
		require.NoError(t, json.Unmarshal(text, &payload))
		signed["payload"] = append(payload, ' ')
	})
	s.refuses(raw, nil, firmware.ErrSignature)
	s.refuses([]byte("{}"), nil, firmware.ErrSignature)
	s.refuses([]byte("<html>"), nil, firmware.ErrCorrupt)
	s.refuses(bytes.Repeat([]byte(" "), 5<<20), nil, firmware.ErrCorrupt)
	_, _, err := s.verifier.Catalog(t.Context(), s.read(firmware.CatalogName), []byte("damaged"))
	require.ErrorIs(t, err, firmware.ErrCorrupt)
}

func TestACatalogIsNoBundleNorTheReverse(t *testing.T) {
	s := small(t)
	var b bytes.Buffer
	require.NoError(t, s.Bundle(t.Context(), "1.0.0", &b))
	head := headOf(b.Bytes())
	bundle, err := s.verifier.Bundle(t.Context(), head, nil)
	require.NoError(t, err)
	assert.Equal(t, firmware.Bundle{Product: "encoder", Issued: when, Expires: when.Add(30 * 24 * time.Hour), Release: s.catalog().Releases[0]}, bundle)
	s.refuses(head, nil, firmware.ErrSignature)
	_, err = s.verifier.Bundle(t.Context(), s.read(firmware.CatalogName), nil)
	require.ErrorIs(t, err, firmware.ErrSignature)
}

func headOf(bundle []byte) []byte {
	front := len(firmware.BundleMagic) + 4
	n := int(bundle[front-2])<<8 | int(bundle[front-1])
	return bundle[front : front+n]
}

func TestABundleIsOfAnyNumberButNotOfARevokedKey(t *testing.T) {
	s := small(t)
	var old bytes.Buffer
	require.NoError(t, s.Bundle(t.Context(), "1.0.0", &old))
	s.renew(time.Hour)
	trust := s.accept(nil)
	_, err := s.verifier.Bundle(t.Context(), headOf(old.Bytes()), trust)
	require.NoError(t, err)

	s.rotate(1, key(2))
	trust = s.accept(trust)
	_, err = s.verifier.Bundle(t.Context(), headOf(old.Bytes()), trust)
	require.ErrorIs(t, err, firmware.ErrSignature)
	var fresh bytes.Buffer
	require.NoError(t, s.Bundle(t.Context(), "1.0.0", &fresh))
	_, err = s.verifier.Bundle(t.Context(), headOf(fresh.Bytes()), nil) // it has the rotations with it
	require.NoError(t, err)
}

// The case of a stolen key: its thief has signed the highest number there is.
func TestAThiefsNumberIsForgottenWithHisKey(t *testing.T) {
	s := small(t)
	trust := s.accept(nil)
	before := s.read(firmware.CatalogName)
	thief := small(t)
	thief.Time = time.Unix(math.MaxInt32, 0)
	require.NoError(t, thief.Renew(t.Context()))
	stolen := thief.read(firmware.CatalogName)
	_, trust, err := s.verifier.Catalog(t.Context(), stolen, trust)
	require.NoError(t, err)
	s.renew(2 * time.Hour)
	s.refuses(s.read(firmware.CatalogName), trust, firmware.ErrReplayed)

	s.rotate(1, key(2))
	trust = s.accept(trust)
	for _, raw := range [][]byte{stolen, before} { // also those that have not expired, without the rotation
		s.refuses(raw, trust, firmware.ErrSignature)
	}
	s.renew(3 * time.Hour)
	s.accept(trust)
}

func TestARotationThatLeavesEnoughOfTheKeysKeepsTheNumber(t *testing.T) {
	s := small(t, key(1), key(2), key(3))
	s.verifier = feed.Keys{Trusted: public(s.Keys...), Threshold: 2}
	old := s.read(firmware.CatalogName)
	s.renew(time.Hour)
	trust := s.accept(nil)
	s.Time = when.Add(2 * time.Hour)
	s.rotate(2, key(2), key(3), key(4))
	s.accept(trust)
	rotations := s.edit(firmware.CatalogName, func(f map[string]any) { // the rotation, and an old catalog
		var o map[string]any
		require.NoError(t, json.Unmarshal(old, &o))
		f["signed"] = o["signed"]
	})
	s.refuses(rotations, trust, firmware.ErrReplayed)
}

func TestAnImageBuiltWithOtherKeysBeginsWithThose(t *testing.T) {
	s := small(t)
	s.Time = time.Unix(math.MaxInt32, 0) // a thief's
	require.NoError(t, s.Renew(t.Context()))
	trust := s.accept(nil)
	other := small(t, key(2))
	other.verifier.Trusted = public(key(2))
	trust = other.accept(trust)
	// The image before that runs again, and trusts what it trusted.
	_, _, err := s.verifier.Catalog(t.Context(), s.read(firmware.CatalogName), trust)
	require.NoError(t, err)
	for n := range byte(20) { // what is kept does not grow without end
		k := feed.Keys{Trusted: public(key(2), key(n+10))}
		_, trust, err = k.Catalog(t.Context(), other.read(firmware.CatalogName), trust)
		require.NoError(t, err)
	}
	assert.Less(t, len(trust), 4<<10)
}

func TestWhatIsSignedIsStillChecked(t *testing.T) {
	s := newShop(t)
	ok := firmware.Release{
		Version: "1.0.0", Size: 1, Digest: [32]byte{1}, Index: firmware.Object{Name: fmt.Sprintf("%064x", 2), Size: 1, Digest: [32]byte{31: 2}},
	}
	sign := func(all ...firmware.Release) []byte {
		require.NoError(t, s.Sign(t.Context(), firmware.Catalog{Releases: all}))
		return s.read(firmware.CatalogName)
	}
	sign(ok)
	s.accept(nil)
	for _, change := range []func(*firmware.Release){
		func(r *firmware.Release) { r.Version = "" }, func(r *firmware.Release) { r.Size = 0 },
		func(r *firmware.Release) { r.Size = math.MaxInt64 }, func(r *firmware.Release) { r.Index.Size = firmware.MaxIndex + 1 },
		func(r *firmware.Release) { r.Cohort = -1 }, func(r *firmware.Release) { r.Epoch = -1 },
	} {
		bad := ok
		change(&bad)
		s.Dir = t.TempDir()
		s.refuses(sign(bad), nil, firmware.ErrCorrupt)
	}
	s.Dir = t.TempDir()
	s.refuses(sign(ok, ok), nil, firmware.ErrCorrupt)
}
