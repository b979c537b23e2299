package signed_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/signed"
)

const rotations = "application/test.rotation"

// link adds a rotation to a chain.
func link(t *testing.T, chain []signed.Envelope, serial int64, threshold int, to, by []byte) []signed.Envelope {
	t.Helper()
	chain, err := signed.Rotate(rotations, chain,
		signed.Rotation{Product: "device", Serial: serial, Keys: public(to...), Threshold: threshold}, private(by...)...)
	require.NoError(t, err)
	return chain
}

func TestAChainIsFollowedByWhatItTakesAtEachLink(t *testing.T) {
	chain := link(t, nil, 1, 2, []byte{2, 3, 4}, []byte{1})
	chain = link(t, chain, 2, 0, []byte{9}, []byte{2, 2})    // a thief's: too few
	chain = link(t, chain, 3, 0, []byte{8}, []byte{1})       // by a key of the past
	chain = link(t, chain, 4, 1, []byte{4, 5}, []byte{3, 4}) // good
	chain = link(t, chain, 5, 0, []byte{6}, []byte{2, 3})    // of the past
	for _, tt := range []struct {
		from     signed.Trust
		want     signed.Trust
		replaced bool
	}{
		{signed.Trust{Keys: public(1)}, signed.Trust{Serial: 4, Keys: public(4, 5), Threshold: 1}, true},
		{signed.Trust{Serial: 1, Keys: public(2, 3, 4), Threshold: 2}, signed.Trust{Serial: 4, Keys: public(4, 5), Threshold: 1}, false},
		{signed.Trust{Serial: 4, Keys: public(4, 5), Threshold: 1}, signed.Trust{Serial: 4, Keys: public(4, 5), Threshold: 1}, false},
		{signed.Trust{Serial: 4, Keys: public(1)}, signed.Trust{Serial: 4, Keys: public(1)}, false}, // a serial rises
		{signed.Trust{Keys: public(8)}, signed.Trust{Keys: public(8)}, false},
	} {
		require.NoError(t, tt.from.Check())
		next, replaced, err := tt.from.Follow(rotations, "device", chain)
		require.NoError(t, err)
		require.Equal(t, tt.want, next)
		require.Equal(t, tt.replaced, replaced, "%+v", tt.from)
		other, replaced, err := tt.from.Follow(rotations, "another", chain)
		require.NoError(t, err)
		require.Equal(t, tt.from, other)
		require.False(t, replaced)
	}
}

func TestAKeyThatWasRotatedAwayCannotComeBack(t *testing.T) {
	chain := link(t, nil, 1, 2, []byte{2, 3}, []byte{1})
	chain = link(t, chain, 2, 0, []byte{3, 4}, []byte{2, 3}) // one stays
	for _, tt := range []struct {
		product string
		to, by  []byte
		refused bool
	}{
		{"device", []byte{3}, []byte{4}, false},
		{"device", []byte{5, 4}, []byte{3}, false},
		{"device", []byte{2}, []byte{4}, true},
		{"device", []byte{5, 1}, []byte{4}, true}, // which has signed alone, before any link
		{"another", []byte{2}, []byte{4}, false},
	} {
		_, err := signed.Rotate(rotations, chain,
			signed.Rotation{Product: tt.product, Serial: 3, Keys: public(tt.to...)}, private(tt.by...)...)
		if tt.refused {
			require.ErrorContains(t, err, "was rotated away before", "%+v", tt)
			continue
		}
		require.NoError(t, err, "%+v", tt)
	}
}

func TestASerialRisesButForWhatNobodyFollows(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		in   []int64
		to   signed.Trust
		want int64
	}{
		{nil, signed.Trust{}, now.Unix()},
		{[]int64{1, 2}, signed.Trust{}, now.Unix()},
		{[]int64{now.Unix() + 3600}, signed.Trust{}, now.Unix() + 3601}, // whoever it was
		{[]int64{now.Unix() + 3600, math.MaxInt64 - 1}, signed.Trust{}, now.Unix() + 3601},
		{[]int64{1 << 60}, signed.Trust{Serial: 1 << 60}, 1<<60 + 1}, // it was followed
	} {
		var chain []signed.Envelope
		for _, serial := range tt.in {
			chain = link(t, chain, serial, 0, []byte{9}, []byte{9})
		}
		serial, err := tt.to.NextSerial(chain, now)
		require.NoError(t, err)
		require.Equal(t, tt.want, serial)
		chain = link(t, chain, serial, 0, []byte{2}, []byte{1})
		_, err = signed.Rotate(rotations, chain, signed.Rotation{Product: "device", Serial: serial, Keys: public(3)}, key(2))
		require.ErrorContains(t, err, "after rotation")
	}
}

func TestAChainThatBreaksTheRulesIsNotFollowedInPart(t *testing.T) {
	chain := link(t, nil, 1, 0, []byte{2}, []byte{1})
	bad, err := signed.Seal(rotations, []byte(`{"product":"device","serial":2,"keys":[]}`), key(2))
	require.NoError(t, err)
	other, err := signed.Seal(kind, []byte(`{}`), key(2))
	require.NoError(t, err)
	for _, e := range []signed.Envelope{bad, other} {
		next, replaced, err := signed.Trust{Keys: public(1)}.Follow(rotations, "device", append(chain, e))
		require.ErrorIs(t, err, signed.ErrMalformed)
		require.Zero(t, next)
		require.False(t, replaced)
	}
	_, err = signed.Rotate(rotations, chain, signed.Rotation{Product: "device", Serial: math.MaxInt64, Keys: public(3)}, key(2))
	require.ErrorIs(t, err, signed.ErrMalformed, "nothing could follow it")
}
