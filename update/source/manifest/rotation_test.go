package manifest_test

import (
	"crypto/ed25519"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// rotate adds a rotation to keys, signed by one.
func rotate(t *testing.T, f *manifest.File, serial int64, by ed25519.PrivateKey, to ...ed25519.PrivateKey) {
	t.Helper()
	require.NoError(t, f.Rotate(manifest.Rotation{Product: "demo/app", Serial: serial, Keys: public(to...)}, by))
}

// chain is a file whose keys went from 1 to 2 to 3.
func chain(t *testing.T, serial int64) manifest.File {
	t.Helper()
	var f manifest.File
	rotate(t, &f, 1, key(1), key(2))
	rotate(t, &f, 2, key(2), key(3))
	require.NoError(t, f.Sign(body(serial), key(3)))
	return f
}

func TestAProgramOfAnyAgeFollowsTheRotations(t *testing.T) {
	text := encode(t, chain(t, 5))
	for n := byte(1); n <= 3; n++ {
		_, err := new(manifest.State).Accept(text, check(key(n)))
		require.NoError(t, err, "built with key %d", n)
	}
	_, err := new(manifest.State).Accept(text, check(key(4)))
	require.ErrorIs(t, err, manifest.ErrSignature)
}

func TestAKeyThatWasRotatedAwayIsOfNoMoreUse(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 5)), check(key(1)))
	require.NoError(t, err)
	s = reopen(t, s)

	for n := byte(1); n <= 2; n++ {
		_, err = s.Accept(signed(t, body(6), key(n)), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrSignature, "key %d, and no rotation in the file", n)
		var stolen manifest.File
		rotate(t, &stolen, 99, key(n), key(9))
		require.NoError(t, stolen.Sign(body(6), key(9)))
		_, err = s.Accept(encode(t, stolen), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrSignature, "key %d rotates to a thief's", n)
	}
	_, err = s.Accept(signed(t, body(6), key(3)), check(key(1)))
	require.NoError(t, err, "what was followed need not be in the file any more")
}

func TestAnOldRotationIsNotFollowedAgain(t *testing.T) {
	var f manifest.File
	rotate(t, &f, 1, key(1), key(1), key(2)) // both, for a while
	rotate(t, &f, 2, key(1), key(1))         // and back, since key 2 was lost
	require.NoError(t, f.Sign(body(5), key(1)))
	s := new(manifest.State)
	_, err := s.Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)

	replay := manifest.File{Rotations: f.Rotations[:1]}
	require.NoError(t, replay.Sign(body(6), key(2)))
	_, err = s.Accept(encode(t, replay), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrSignature)
}

func TestARotationOfAnotherProductIsNotFollowed(t *testing.T) {
	var f manifest.File
	require.NoError(t, f.Rotate(manifest.Rotation{Product: "demo/other", Serial: 1, Keys: public(key(2))}, key(1)))
	require.NoError(t, f.Sign(body(5), key(2)))
	_, err := new(manifest.State).Accept(encode(t, f), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrSignature)
	require.NoError(t, f.Sign(body(5), key(1)))
	_, err = new(manifest.State).Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)
}

func TestARotationCountsOnlyWithAManifestThatDoes(t *testing.T) {
	f := chain(t, 5)
	late := check(key(1))
	late.Now = body(5).Expires
	s := new(manifest.State)
	_, err := s.Accept(encode(t, f), late)
	require.ErrorIs(t, err, manifest.ErrExpired)
	require.Equal(t, manifest.State{}, *s)
}

func TestProductsWithOneKeyHaveTheirOwnRotations(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 5)), check(key(1)))
	require.NoError(t, err)
	s = reopen(t, s)
	other := body(1)
	other.Product = "demo/other"
	c := check(key(1))
	c.Product = "demo/other"
	_, err = s.Accept(signed(t, other, key(3)), c)
	require.ErrorIs(t, err, manifest.ErrSignature)
	_, err = s.Accept(signed(t, other, key(1)), c)
	require.NoError(t, err)
}

// A build with other keys trusts those, whatever was rotated under the old
// ones; the older build, should it come back, still knows what it followed.
func TestNewKeysInAProgramBeginAnew(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 5)), check(key(1)))
	require.NoError(t, err)
	s = reopen(t, s)
	_, err = s.Accept(signed(t, body(6), key(7)), check(key(7), key(8)))
	require.NoError(t, err)
	_, err = s.Accept(signed(t, body(5), key(8)), check(key(8), key(7)))
	require.ErrorIs(t, err, manifest.ErrReplayed, "serials go on")
	_, err = s.Accept(signed(t, body(7), key(1)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrSignature)
	_, err = s.Accept(signed(t, body(7), key(3)), check(key(1)))
	require.NoError(t, err)
}

func TestARotationThatBreaksTheRulesIsRefused(t *testing.T) {
	good := manifest.Rotation{Product: "demo/app", Serial: 1, Keys: public(key(2))}
	zeros := make(ed25519.PublicKey, ed25519.PublicKeySize)
	for what, change := range map[string]func(*manifest.Rotation){
		"no product":               func(r *manifest.Rotation) { r.Product = "" },
		"serial 0":                 func(r *manifest.Rotation) { r.Serial = 0 },
		"the last serial":          func(r *manifest.Rotation) { r.Serial = math.MaxInt64 },
		"more keys than there are": func(r *manifest.Rotation) { r.Threshold = 2 },
		"a threshold below 0":      func(r *manifest.Rotation) { r.Threshold = -1 },
		"no keys":                  func(r *manifest.Rotation) { r.Keys = nil },
		"a short key":              func(r *manifest.Rotation) { r.Keys = []ed25519.PublicKey{{1}} },
		"a key of zeros":           func(r *manifest.Rotation) { r.Keys = []ed25519.PublicKey{zeros} },
		"a key twice":              func(r *manifest.Rotation) { r.Keys = public(key(2), key(2)) },
		"too many keys": func(r *manifest.Rotation) {
			r.Keys = public(key(1), key(2), key(3), key(4), key(5), key(6), key(7), key(8), key(9))
		},
		"a key that is nil": func(r *manifest.Rotation) { r.Keys = []ed25519.PublicKey{nil} },
	} {
		r := good
		change(&r)
		var f manifest.File
		require.Error(t, f.Rotate(r, key(1)), what)
		payload, err := json.Marshal(r)
		require.NoError(t, err)
		f.Rotations = []manifest.Envelope{sealed(typeRotation, string(payload), key(1))}
		require.NoError(t, f.Sign(body(1), key(1)))
		_, err = new(manifest.State).Accept(encode(t, f), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrMalformed, what)
	}
}

func TestRotationsRise(t *testing.T) {
	f := chain(t, 1)
	require.ErrorContains(t, f.Rotate(manifest.Rotation{Product: "demo/app", Serial: 2, Keys: public(key(4))}, key(3)),
		"rotation 2 after rotation 2")
	next, err := f.NextSerial(manifest.Trust{Keys: public(key(3))}, time.Unix(1, 0))
	require.NoError(t, err)
	require.Equal(t, int64(3), next)
	for serial := int64(3); serial <= 64; serial++ {
		rotate(t, &f, serial, key(3), key(3))
	}
	require.ErrorContains(t, f.Rotate(manifest.Rotation{Product: "demo/app", Serial: 99, Keys: public(key(4))}, key(3)), "limit")
	_, err = new(manifest.State).Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)
	f.Rotations[0].Payload = []byte("x")
	_, err = f.NextSerial(manifest.Trust{}, time.Unix(1, 0))
	require.ErrorIs(t, err, manifest.ErrMalformed)
}

func TestAcceptNeedsKeys(t *testing.T) {
	zeros := make(ed25519.PublicKey, ed25519.PublicKeySize)
	text := signed(t, body(1), key(1))
	for _, keys := range [][]ed25519.PublicKey{nil, {{1, 2}}, {zeros}, public(key(1), key(1))} {
		c := check()
		c.Keys = keys
		_, err := new(manifest.State).Accept(text, c)
		require.ErrorContains(t, err, "key")
	}
	var f manifest.File
	require.ErrorContains(t, f.Sign(body(1)), "0 keys to sign with")
}
