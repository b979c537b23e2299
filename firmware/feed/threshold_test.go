package feed_test

import (
	"crypto/ed25519"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/internal/signed"
)

func TestARotationNeedsTheThresholdOfTheKeysBefore(t *testing.T) {
	s := small(t, key(1), key(2))
	s.verifier = feed.Keys{Trusted: public(key(1), key(2)), Threshold: 2}
	trust := s.accept(nil)
	thief := s.theft()
	thief.rotate(2, key(9), key(8))
	s.refuses(thief.read(firmware.CatalogName), trust, firmware.ErrSignature)
}

func TestTheThresholdOfARotationCounts(t *testing.T) {
	s := small(t)
	trust := s.accept(nil)
	two := []ed25519.PrivateKey{key(2), key(3)}
	for want, to := range map[error]feed.Rotation{
		firmware.ErrInvalid:   {Keys: public(two...), Threshold: 3, Signers: two},
		firmware.ErrSignature: {Keys: public(two...), Threshold: 2, Signers: two[:1]},
	} {
		require.ErrorIs(t, s.Rotate(t.Context(), to), want)
	}
	s.rotate(2, two...)
	trust = s.accept(trust)
	one := s.edit(firmware.CatalogName, func(f map[string]any) {
		signed := f["signed"].(map[string]any)
		signed["signatures"] = signed["signatures"].([]any)[:1]
	})
	s.refuses(one, trust, firmware.ErrSignature)
	s.Keys = two[:1] // which cannot know who signed the rotation, but what it says
	require.ErrorIs(t, s.Renew(t.Context()), firmware.ErrSignature)
	s.Keys = []ed25519.PrivateKey{key(1), key(2)}
	require.ErrorIs(t, s.Renew(t.Context()), firmware.ErrSignature)
	s.Keys = two
	s.renew(time.Hour)
	s.accept(trust)
}

func TestARotationKeepsTheThresholdUnlessItIsTold(t *testing.T) {
	s := small(t, key(1), key(2))
	s.rotate(0, key(3), key(4), key(5))
	s.Keys, s.Threshold = s.Keys[:1], 0
	require.ErrorIs(t, s.Renew(t.Context()), firmware.ErrSignature)
	s.Keys = []ed25519.PrivateKey{key(3), key(4)}
	s.renew(time.Hour)
}

// theft is a folder that has what is in that of s, and of its keys the first.
func (s *shop) theft() *shop {
	s.Helper()
	thief := newShop(s.T)
	thief.Keys = s.Keys[:1]
	s.copyTo(thief)
	return thief
}

func (s *shop) copyTo(other *shop) {
	s.Helper()
	for name := range s.files() {
		require.NoError(s, os.WriteFile(filepath.Join(other.Dir, name), s.read(name), 0o600))
	}
}

// Devices want two signatures, and of two keys one is stolen: what the thief has
// written is not to get the second one by a routine of those who have both.
func TestWhatOneKeyHasWrittenGetsNoSecondSignature(t *testing.T) {
	for name, writes := range map[string]func(thief *shop){
		"a release": func(thief *shop) { thief.add("9.9.9", code(9, 16)) },
		"a rotation": func(thief *shop) {
			thief.rotate(1, key(1), key(9))
			thief.Keys = thief.Keys[:1]
			thief.add("9.9.9", code(9, 16))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := small(t, key(1), key(2))
			s.verifier = feed.Keys{Trusted: public(s.Keys...), Threshold: 2}
			trust := s.accept(nil)
			thief := s.theft()
			thief.Time = when.Add(time.Hour)
			writes(thief)
			thief.copyTo(s)
			left := s.files()
			s.Time = when.Add(2 * time.Hour)
			require.ErrorIs(t, s.Renew(t.Context()), firmware.ErrSignature)
			_, err := s.Add(t.Context(), firmware.Release{Version: "1.1.0"}, nil)
			require.ErrorIs(t, err, firmware.ErrSignature)
			require.ErrorIs(t, s.Rotate(t.Context(), feed.Rotation{Keys: public(key(3)), Threshold: 1, Signers: []ed25519.PrivateKey{key(3)}}), firmware.ErrSignature)
			require.ErrorIs(t, s.Bundle(t.Context(), "9.9.9", nil), firmware.ErrSignature)
			assert.Equal(t, left, s.files())
			s.refuses(s.read(firmware.CatalogName), trust, firmware.ErrSignature)
		})
	}
}

func TestNothingIsSignedByFewerKeysThanDevicesWant(t *testing.T) {
	s := small(t, key(1), key(2), key(3))
	s.Threshold = 2
	s.Keys = s.Keys[:2]
	s.renew(time.Hour)
	s.rotate(2, key(4), key(5))
	before := s.files()
	one := s.Publisher
	one.Keys = s.Keys[:1]
	require.ErrorIs(t, one.Renew(t.Context()), firmware.ErrInvalid)
	one.Threshold = 1
	require.ErrorIs(t, one.Renew(t.Context()), firmware.ErrSignature)
	require.ErrorIs(t, one.Rotate(t.Context(), feed.Rotation{Keys: public(key(6)), Signers: []ed25519.PrivateKey{key(6)}}), firmware.ErrSignature)
	assert.Equal(t, before, s.files())
}

func TestAKeyThatSignsTwiceIsOneSigner(t *testing.T) {
	s := small(t, key(1), key(2))
	to := feed.Rotation{Keys: public(key(1), key(3)), Threshold: 2, Signers: []ed25519.PrivateKey{key(1), key(1)}}
	require.ErrorIs(t, s.Rotate(t.Context(), to), firmware.ErrSignature)
	to.Signers = append(slices.Clone(to.Signers), key(3))
	require.NoError(t, s.Rotate(t.Context(), to))
}

// Whoever may write the folder may add a rotation that nobody follows.
func TestAThiefsRotationDoesNotStopTheNext(t *testing.T) {
	s := small(t)
	trust := s.accept(nil)
	thief := signedRotation(t, "encoder", math.MaxInt64-1, key(9), key(9))
	raw := s.edit(firmware.CatalogName, func(f map[string]any) { f["rotations"] = []any{thief} })
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, firmware.CatalogName), raw, 0o600))
	s.rotate(1, key(2))
	trust = s.accept(trust)
	s.rotate(1, key(3))
	s.accept(trust)
	s.accept(nil)
}

// signedRotation is one to a key, signed by another.
func signedRotation(t *testing.T, product string, serial int64, to, by ed25519.PrivateKey) signed.Envelope {
	t.Helper()
	chain, err := signed.Rotate("application/vnd.upkeep.firmware.rotation.v1+json", nil,
		signed.Rotation{Product: product, Serial: serial, Keys: public(to)}, by)
	require.NoError(t, err)
	return chain[0]
}
