package cdc_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/cdc"
)

func noise(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// chunks cuts all of data.
func chunks(t *testing.T, data []byte) [][]byte {
	t.Helper()
	var all [][]byte
	for rest := data; len(rest) > 0; {
		n := cdc.Cut(rest)
		require.Positive(t, n)
		all, rest = append(all, rest[:n]), rest[n:]
	}
	require.Equal(t, data, bytes.Join(all, nil))
	return all
}

func TestChunksHaveTheSizesThatAreSaid(t *testing.T) {
	all := chunks(t, noise(1, 16<<20))
	for _, c := range all[:len(all)-1] {
		assert.GreaterOrEqual(t, len(c), cdc.Min)
		assert.LessOrEqual(t, len(c), cdc.Max)
	}
	assert.InDelta(t, cdc.Average, 16<<20/len(all), cdc.Average/4)
}

func TestChunksOfOtherSizesHaveThose(t *testing.T) {
	c := cdc.Cutter{Min: 512, Average: 2 << 10, Max: 8 << 10}
	data := noise(4, 4<<20)
	n := 0
	for rest := data; len(rest) > c.Max; n++ {
		size := c.Cut(rest)
		assert.GreaterOrEqual(t, size, c.Min)
		assert.LessOrEqual(t, size, c.Max)
		rest = rest[size:]
	}
	assert.InDelta(t, c.Average, len(data)/n, float64(c.Average)/4)
}

func TestNothingIsCutInVain(t *testing.T) {
	assert.Zero(t, cdc.Cut(nil))
	assert.Equal(t, 1, cdc.Cut([]byte{0}))
	assert.Equal(t, cdc.Min, cdc.Cut(make([]byte, cdc.Min)))
	assert.Equal(t, cdc.Max, cdc.Cut(make([]byte, 2*cdc.Max)), "zeros are cut nowhere")
}

func TestWhatWasInsertedChangesTheChunksAroundItOnly(t *testing.T) {
	old := noise(2, 8<<20)
	changed := bytes.Join([][]byte{old[:3<<20], []byte("a few bytes"), old[3<<20:]}, nil)
	known := map[[32]byte]bool{}
	for _, c := range chunks(t, old) {
		known[sha256.Sum256(c)] = true
	}
	fresh := 0
	for _, c := range chunks(t, changed) {
		if !known[sha256.Sum256(c)] {
			fresh++
		}
	}
	assert.LessOrEqual(t, fresh, 3)
}

// A change of the table or of the masks makes every chunk of every feed another.
func TestTheCutsStayWhatTheyWere(t *testing.T) {
	h := sha256.New()
	for _, c := range chunks(t, noise(3, 4<<20)) {
		h.Write([]byte{byte(len(c)), byte(len(c) >> 8), byte(len(c) >> 16)})
	}
	assert.Equal(t, "7ff4b6dc15d8d6acbd345095588b6c01f7fe06192cc662ecb4a0947be5cd6318", fmt.Sprintf("%x", h.Sum(nil)))
}

// Keys that had another gear would find nothing of what they have sent.
func TestTheCutsOfASeedStayWhatTheyWere(t *testing.T) {
	data := noise(6, 4<<20)
	ends := func(g *cdc.Gear) (all []int) {
		c := cdc.Cutter{Min: 4 << 10, Average: 64 << 10, Max: 256 << 10, Gear: g}
		require.NoError(t, c.Each(t.Context(), bytes.NewReader(data), func(chunk []byte, at int64) bool {
			all = append(all, int(at)+len(chunk))
			return true
		}))
		return all
	}
	one, other := ends(cdc.NewGear([32]byte{1})), ends(cdc.NewGear([32]byte{2}))
	require.Equal(t, []int{87875, 176414, 264030, 335958}, one[:4])
	require.Equal(t, one, ends(cdc.NewGear([32]byte{1})))
	common := map[int]bool{}
	for _, end := range one[:len(one)-1] {
		common[end] = true
	}
	for _, end := range slices.Concat(other, ends(nil)) {
		require.False(t, common[end] && end < len(data), "a cut of another seed")
	}
}

func TestWhatIsReadIsCutAlikeHoweverItComes(t *testing.T) {
	data := noise(5, 3<<20)
	for _, r := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
		want, at := chunks(t, data), int64(0)
		require.NoError(t, cdc.Each(t.Context(), r, func(chunk []byte, offset int64) bool {
			require.True(t, bytes.Equal(want[0], chunk))
			require.Equal(t, at, offset)
			want, at = want[1:], at+int64(len(chunk))
			return true
		}))
		require.Empty(t, want)
	}
	n := 0
	require.NoError(t, cdc.Each(t.Context(), bytes.NewReader(data), func([]byte, int64) bool { n++; return n < 3 }))
	require.Equal(t, 3, n)
	broken := errors.New("a broken disk")
	never := func([]byte, int64) bool { return false }
	require.ErrorIs(t, cdc.Each(t.Context(), iotest.ErrReader(broken), never), broken)
	ctx, end := context.WithCancelCause(t.Context())
	end(broken)
	require.ErrorIs(t, cdc.Each(ctx, bytes.NewReader(data), never), broken)
}
