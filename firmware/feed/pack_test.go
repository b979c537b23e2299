package feed_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

var packs feed.Packer

func TestWhatIsPackedDoesNotDependOnWhatWasPackedBefore(t *testing.T) {
	image := code(1, 1<<10)
	window := next(2, image, 4096)
	raw := image[:50<<10]
	first, err := packs.Pack(raw, nil)
	require.NoError(t, err)
	patch, err := packs.Pack(raw, window)
	require.NoError(t, err)
	assert.Less(t, 5*len(patch), len(first))
	var wg sync.WaitGroup
	for n := range byte(2) {
		wg.Go(func() {
			other := code(n+7, 1<<10)
			_, err := packs.Pack(other, nil)
			assert.NoError(t, err)
			_, err = packs.Pack(other[:50<<10], other)
			assert.NoError(t, err)
			again, err := packs.Pack(raw, nil)
			assert.NoError(t, err)
			assert.True(t, bytes.Equal(first, again))
			again, err = packs.Pack(raw, bytes.Clone(window))
			assert.NoError(t, err)
			assert.True(t, bytes.Equal(patch, again))
		})
	}
	wg.Wait()
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	image := code(1, 4<<10)
	window := next(2, image, 4096)
	for _, n := range []int{1, 1<<10 + 1, 128<<10 + 1} {
		raw := image[:n]
		sent, err := packs.Pack(raw, nil)
		require.NoError(t, err)
		got, err := feed.Keys{}.Unpack(firmware.WayZstd, sent, nil, int64(n))
		require.NoError(t, err)
		require.Equal(t, raw, got)
		sent, err = packs.Pack(raw, window)
		require.NoError(t, err)
		got, err = feed.Keys{}.Unpack(firmware.WayPatch, sent, window, int64(n))
		require.NoError(t, err)
		require.Equal(t, raw, got)
	}
}

func TestWhatIsNothingOfTheKindIsNotUnpacked(t *testing.T) {
	raw := code(1, 1<<10)
	sent, err := packs.Pack(raw, nil)
	require.NoError(t, err)
	unpack := feed.Keys{}.Unpack
	for name, damaged := range map[string][]byte{
		"nothing": nil, "cut": sent[:len(sent)-1], "text": []byte("not packed"),
		"twice": append(bytes.Clone(sent), sent...), "more": append(bytes.Clone(sent), 0),
	} {
		_, err := unpack(firmware.WayZstd, damaged, nil, int64(len(raw)))
		assert.ErrorIs(t, err, firmware.ErrCorrupt, name)
	}
	for _, size := range []int64{-1, 0, int64(len(raw)) - 1, int64(len(raw)) + 1, firmware.MaxSegment + 1} {
		_, err := unpack(firmware.WayZstd, sent, nil, size)
		assert.ErrorIs(t, err, firmware.ErrCorrupt, "%d bytes", size)
	}
	_, err = unpack(firmware.WayChunks, sent, nil, int64(len(raw)))
	assert.ErrorIs(t, err, firmware.ErrInvalid)
}

// Eight MiB of zeros are sent in a few hundred bytes, which costs no more than
// what was to come.
func TestABombCostsNoMoreThanWhatWasToCome(t *testing.T) {
	bomb, err := packs.Pack(make([]byte, 8<<20), nil)
	require.NoError(t, err)
	require.Less(t, len(bomb), 4<<10)
	// without its length, as a stream has it: a frame that says that it has a window of 128 MiB
	stream := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3}, bytes.Repeat([]byte{0x02, 0x00, 0x10, 0x00}, 100)...)
	for _, sent := range [][]byte{bomb, stream} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const times = 20
		for range times {
			_, err := feed.Keys{}.Unpack(firmware.WayZstd, sent, nil, 4<<10)
			require.ErrorIs(t, err, firmware.ErrCorrupt)
		}
		runtime.ReadMemStats(&after)
		assert.Less(t, (after.TotalAlloc-before.TotalAlloc)/times, uint64(1<<20))
	}
}

func BenchmarkUnpackChunk(b *testing.B) {
	raw := code(1, 256)
	sent, err := packs.Pack(raw, nil)
	require.NoError(b, err)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for range b.N {
		if _, err := (feed.Keys{}).Unpack(firmware.WayZstd, sent, nil, int64(len(raw))); err != nil {
			b.Fatal(err)
		}
	}
}
