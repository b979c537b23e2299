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
	unpack := feed.Keys{}.Unpacker().Unpack
	for _, n := range []int{1, 1<<10 + 1, 128<<10 + 1} {
		raw := image[:n]
		sent, err := packs.Pack(raw, nil)
		require.NoError(t, err)
		got := make([]byte, n)
		require.NoError(t, unpack(firmware.WayZstd, sent, nil, got))
		require.Equal(t, raw, got)
		sent, err = packs.Pack(raw, window)
		require.NoError(t, err)
		clear(got)
		require.NoError(t, unpack(firmware.WayPatch, sent, window, got))
		require.Equal(t, raw, got)
	}
}

func TestWhatIsNothingOfTheKindIsNotUnpacked(t *testing.T) {
	raw := code(1, 1<<10)
	sent, err := packs.Pack(raw, nil)
	require.NoError(t, err)
	unpack := func(way firmware.Way, sent []byte, size int) error {
		return feed.Keys{}.Unpacker().Unpack(way, sent, nil, make([]byte, size))
	}
	for name, damaged := range map[string][]byte{
		"nothing": nil, "cut": sent[:len(sent)-1], "text": []byte("not packed"),
		"twice": append(bytes.Clone(sent), sent...), "more": append(bytes.Clone(sent), 0),
	} {
		assert.ErrorIs(t, unpack(firmware.WayZstd, damaged, len(raw)), firmware.ErrCorrupt, name)
	}
	for _, size := range []int{0, len(raw) - 1, len(raw) + 1, firmware.MaxSegment + 1} {
		assert.ErrorIs(t, unpack(firmware.WayZstd, sent, size), firmware.ErrCorrupt, "%d bytes", size)
	}
	assert.ErrorIs(t, unpack(firmware.WayChunks, sent, len(raw)), firmware.ErrInvalid)
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
		unpack := feed.Keys{}.Unpacker().Unpack
		for range times {
			err := unpack(firmware.WayZstd, sent, nil, make([]byte, 4<<10))
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
	unpacker := feed.Keys{}.Unpacker()
	for range b.N {
		if err := unpacker.Unpack(firmware.WayZstd, sent, nil, raw); err != nil {
			b.Fatal(err)
		}
	}
}
