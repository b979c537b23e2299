package manifest_test

import (
	"crypto/ed25519"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// checkOf is check with a threshold.
func checkOf(threshold int, keys ...ed25519.PrivateKey) manifest.Check {
	c := check(keys...)
	c.Threshold = threshold
	return c
}

// turn adds a rotation to a threshold of keys, signed by some.
func turn(t *testing.T, f *manifest.File, serial int64, threshold int, to []ed25519.PrivateKey, by ...ed25519.PrivateKey) {
	t.Helper()
	r := manifest.Rotation{Product: "demo/app", Serial: serial, Keys: public(to...), Threshold: threshold}
	require.NoError(t, f.Rotate(r, by...))
}

func keys(numbers ...byte) (all []ed25519.PrivateKey) {
	for _, n := range numbers {
		all = append(all, key(n))
	}
	return all
}

// ahead is a manifest with a serial that nothing can follow.
func ahead(channel string) manifest.Manifest {
	m := body(math.MaxInt64)
	m.Channel = channel
	return m
}

func TestAKeyThatSignsTwiceCountsOnce(t *testing.T) {
	c := checkOf(2, key(1), key(2))
	_, err := new(manifest.State).Accept(signed(t, body(1), key(1), key(1)), c)
	require.ErrorIs(t, err, manifest.ErrSignature)
	require.ErrorContains(t, err, "by 1 of the 2 that it takes")

	var f manifest.File
	require.NoError(t, f.Sign(body(1), key(1), key(1)))
	f.Manifest.Signatures[1].KeyID = manifest.KeyID(public(key(2))[0])
	_, err = new(manifest.State).Accept(encode(t, f), c)
	require.ErrorIs(t, err, manifest.ErrSignature, "it says that another key has signed")

	_, err = new(manifest.State).Accept(signed(t, body(1), key(1), key(9), key(2)), c)
	require.NoError(t, err)
	for _, c := range []manifest.Check{checkOf(3, key(1), key(2)), checkOf(-1, key(1))} {
		_, err = new(manifest.State).Accept(signed(t, body(1), key(1), key(2)), c)
		require.ErrorContains(t, err, "are to sign")
	}
}

func TestARotationTakesAsManyKeysAsTheFileBeforeIt(t *testing.T) {
	c := checkOf(2, keys(1, 2, 3)...)
	var stolen manifest.File
	turn(t, &stolen, 1, 0, keys(9), key(1), key(1))
	require.NoError(t, stolen.Sign(body(1), key(9)))
	_, err := new(manifest.State).Accept(encode(t, stolen), c)
	require.ErrorIs(t, err, manifest.ErrSignature)

	var f manifest.File
	turn(t, &f, 1, 2, keys(4, 5), key(1), key(3))
	turn(t, &f, 2, 0, keys(9), key(4)) // one of the two that it takes now
	require.NoError(t, f.Sign(body(1), key(4), key(5)))
	s := new(manifest.State)
	_, err = s.Accept(encode(t, f), c)
	require.NoError(t, err)
	s = reopen(t, s)
	for _, by := range [][]ed25519.PrivateKey{keys(4), keys(4, 4), keys(1, 2, 3), keys(4, 9)} {
		_, err = s.Accept(signed(t, body(2), by...), c)
		require.ErrorIs(t, err, manifest.ErrSignature, "the threshold is remembered")
	}
	_, err = s.Accept(signed(t, body(2), keys(5, 4)...), c)
	require.NoError(t, err)
}

func TestAThiefsSerialIsForgottenWithTheKeyAndTheKeyIsNot(t *testing.T) {
	s, beta := new(manifest.State), check(key(1))
	beta.Channel = "beta"
	_, err := s.Accept(signed(t, ahead("stable"), key(1)), check(key(1)))
	require.NoError(t, err)
	later := ahead("beta")
	later.Issued, later.Expires = now.Add(23*time.Hour), now.Add(48*time.Hour)
	_, err = s.Accept(signed(t, later, key(1)), beta)
	require.NoError(t, err)
	s = reopen(t, s)
	_, err = s.Accept(signed(t, body(51), key(1)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrReplayed)

	var f manifest.File
	rotate(t, &f, 1, key(1), key(2))
	require.NoError(t, f.Sign(body(51), key(2)))
	floor := check(key(1))
	floor.MinSerial = 52
	_, err = s.Accept(encode(t, f), floor)
	require.ErrorIs(t, err, manifest.ErrReplayed, "what a program was built with is not forgotten")
	_, err = s.Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)

	var stolen manifest.File
	rotate(t, &stolen, 99, key(1), key(9))
	require.NoError(t, stolen.Sign(body(60), key(9)))
	for range 2 {
		for _, text := range [][]byte{
			signed(t, body(60), key(1)), signed(t, ahead("stable"), key(1)), encode(t, stolen), // without the rotation
			encode(t, manifest.File{Rotations: f.Rotations, Manifest: sealed(typeManifest, "{}", key(1))}),
		} {
			_, err = s.Accept(text, check(key(1)))
			require.ErrorIs(t, err, manifest.ErrSignature)
		}
		_, err = s.Accept(signed(t, ahead("beta"), key(1)), beta)
		require.ErrorIs(t, err, manifest.ErrSignature)
		_, err = s.Accept(signed(t, body(50), key(2)), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrReplayed, "serials rise again")
		s = reopen(t, s) // a restart
	}
	free := body(7)
	free.Channel = "beta"
	early := beta
	early.Now = now.Add(-20 * time.Hour)
	_, err = s.Accept(signed(t, free, key(2)), early)
	require.ErrorIs(t, err, manifest.ErrClock, "times are not forgotten")
	_, err = s.Accept(signed(t, free, key(2)), beta)
	require.NoError(t, err, "the other channel is free as well")
}

func TestASerialIsForgottenOnceTooFewOldKeysRemainToSignAnything(t *testing.T) {
	for _, tt := range []struct {
		what      string
		before    int
		old, next []byte
		after     int
		by        []byte
		forgotten bool
	}{
		{"one of two is replaced, and one is enough", 1, []byte{1, 2}, []byte{2, 3}, 1, []byte{2}, false},
		{"both are", 1, []byte{1, 2}, []byte{3, 4}, 1, []byte{2}, true},
		{"two of three are replaced, and it takes two", 2, []byte{1, 2, 3}, []byte{3, 4, 5}, 2, []byte{2, 3}, true},
		{"one of three is", 2, []byte{1, 2, 3}, []byte{2, 3, 4}, 2, []byte{2, 3}, false},
		{"two of three are, and one key is enough from now on", 2, []byte{1, 2, 3}, []byte{3, 4}, 1, []byte{2, 3}, false},
		{"it takes more keys", 1, []byte{1}, []byte{1, 2}, 2, []byte{1}, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			c, s := checkOf(tt.before, keys(tt.old...)...), new(manifest.State)
			_, err := s.Accept(signed(t, ahead("stable"), keys(tt.old...)...), c)
			require.NoError(t, err)
			var f manifest.File
			turn(t, &f, 1, tt.after, keys(tt.next...), keys(tt.by...)...)
			require.NoError(t, f.Sign(body(51), keys(tt.next...)...))
			_, err = reopen(t, s).Accept(encode(t, f), c)
			if tt.forgotten {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, manifest.ErrReplayed)
		})
	}
}

// A build with the keys of long ago follows rotations that another one followed
// before it: that frees no old manifest.
func TestABuildThatIsBehindForgetsNothing(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 10)), check(key(1)))
	require.NoError(t, err)
	s = reopen(t, s)
	_, err = s.Accept(encode(t, chain(t, 9)), check(key(1), key(2)))
	require.ErrorIs(t, err, manifest.ErrReplayed)
	_, err = s.Accept(encode(t, chain(t, 10)), check(key(1), key(2)))
	require.NoError(t, err)
}

func TestABuildThatAsksForMoreKeysBeginsAnew(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(encode(t, chain(t, 5)), check(key(1), key(8)))
	require.NoError(t, err)
	_, err = s.Accept(signed(t, body(6), key(3)), checkOf(2, key(1), key(8)))
	require.ErrorIs(t, err, manifest.ErrSignature, "one key alone led to this one")
	_, err = s.Accept(signed(t, body(6), key(8), key(1)), checkOf(2, key(1), key(8)))
	require.NoError(t, err)
	_, err = s.Accept(signed(t, body(7), key(3)), checkOf(1, key(1), key(8)))
	require.NoError(t, err, "a threshold of 1 is none")
}

// Two builds share a state: what one has accepted of the keys that replace the
// other's stays known when the other follows.
func TestABuildThatFollowsToTheKeysOfAnotherForgetsNothingOfThem(t *testing.T) {
	both := signed(t, body(30), key(1), key(2))
	for what, accept := range map[string][]manifest.Check{
		"the other one alone":        {check(key(2))},
		"the other one, and then it": {check(key(2)), check(key(1))},
		"it, and then the other one": {check(key(1)), check(key(2))},
		"all in turn":                {check(key(1)), check(key(2)), check(key(1))},
		"one that knows neither":     {check(key(9))},
	} {
		s := new(manifest.State)
		for _, c := range accept {
			text := both
			if c.Keys[0].Equal(public(key(9))[0]) {
				text = signed(t, body(30), key(9))
			}
			_, err := s.Accept(text, c)
			require.NoError(t, err)
			s = reopen(t, s)
		}
		var f manifest.File
		rotate(t, &f, 1, key(1), key(2))
		require.NoError(t, f.Sign(body(20), key(2)))
		_, err := s.Accept(encode(t, f), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrReplayed, what)
	}
}

// Keys were rotated away and came back, as no Rotate of this package has it: what
// they had signed is no more than it was.
func TestAKeyThatComesBackFreesNoOldManifest(t *testing.T) {
	link := func(serial, to, by byte) manifest.Envelope {
		var f manifest.File
		rotate(t, &f, int64(serial), key(by), key(to))
		return f.Rotations[0]
	}
	var f manifest.File
	rotate(t, &f, 1, key(1), key(2))
	require.ErrorContains(t, f.Rotate(manifest.Rotation{Product: "demo/app", Serial: 2, Keys: public(key(1))}, key(2)),
		"was rotated away before")
	require.NoError(t, f.Sign(body(30), key(2)))
	for what, tt := range map[string]struct {
		built byte
		back  []manifest.Envelope
	}{
		"it was followed":                        {1, []manifest.Envelope{link(2, 1, 2)}}, // and somebody holds back the first
		"the chain tells of it":                  {2, []manifest.Envelope{f.Rotations[0], link(2, 1, 2)}},
		"the chain tells of it, before one more": {2, []manifest.Envelope{f.Rotations[0], link(2, 3, 2), link(3, 1, 3)}},
	} {
		s := new(manifest.State)
		_, err := s.Accept(encode(t, f), check(key(tt.built)))
		require.NoError(t, err)
		replay := manifest.File{Rotations: tt.back}
		require.NoError(t, replay.Sign(body(20), key(1)))
		_, err = reopen(t, s).Accept(encode(t, replay), check(key(tt.built)))
		require.ErrorIs(t, err, manifest.ErrReplayed, what)
	}
}

func TestABuildThatAsksForMoreOfTheSameKeysKnowsThatTheyWereRotatedAway(t *testing.T) {
	for _, tt := range []struct {
		by        []ed25519.PrivateKey
		threshold int
		anew      bool
	}{
		{keys(1, 2), 2, false}, {keys(1, 2), 3, true}, {keys(1), 2, true}, {keys(1, 2, 3), 3, false}, {keys(1), 1, false},
	} {
		var f manifest.File
		turn(t, &f, 1, 0, keys(4), tt.by...)
		require.NoError(t, f.Sign(body(5), key(4)))
		s := new(manifest.State)
		_, err := s.Accept(encode(t, f), checkOf(0, keys(1, 2, 3)...))
		require.NoError(t, err)
		s = reopen(t, s)
		_, err = s.Accept(signed(t, body(6), keys(1, 2, 3)...), checkOf(tt.threshold, keys(3, 2, 1)...))
		if tt.anew {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, manifest.ErrSignature, "%+v", tt)
		_, err = s.Accept(signed(t, body(6), key(4)), checkOf(tt.threshold, keys(3, 2, 1)...))
		require.NoError(t, err)
	}
}

func TestABuildThatAsksForFewerKnowsWhatMoreHaveSigned(t *testing.T) {
	var f manifest.File
	turn(t, &f, 1, 0, keys(4), key(1), key(2))
	require.NoError(t, f.Sign(body(5), key(4)))
	s := new(manifest.State)
	_, err := s.Accept(encode(t, f), checkOf(2, keys(1, 2)...))
	require.NoError(t, err)
	_, err = reopen(t, s).Accept(signed(t, body(6), key(1)), checkOf(1, keys(1, 2)...))
	require.ErrorIs(t, err, manifest.ErrSignature)
}

// A new build has the keys that the last one had come to: what led to them is known.
func TestANewBuildWithTheKeysThatTheLastOneFollowedForgetsAThiefsSerialToo(t *testing.T) {
	var f manifest.File
	rotate(t, &f, 1, key(1), key(1), key(2))
	require.NoError(t, f.Sign(body(5), key(1)))
	s := new(manifest.State)
	_, err := s.Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)
	rotate(t, &f, 2, key(1), key(2))
	require.NoError(t, f.Sign(ahead("stable"), key(2)))
	_, err = reopen(t, s).Accept(encode(t, f), check(key(1)))
	require.NoError(t, err)
	rotate(t, &f, 3, key(2), key(3))
	require.NoError(t, f.Sign(body(51), key(3)))
	_, err = s.Accept(encode(t, f), check(key(2)))
	require.NoError(t, err)
}
