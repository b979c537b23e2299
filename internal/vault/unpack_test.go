package vault_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

// TestABlobThatLiesTakesNoMemory: blobs by somebody who has the keys.
func TestABlobThatLiesTakesNoMemory(t *testing.T) {
	k := vault.NewKeys()
	p := k.NewPacker(nil)
	u, err := k.NewUnpacker(p.Header())
	require.NoError(t, err)
	// frame is one of zstd with a byte a thousand times, in a window of 512 MiB.
	frame := func(size uint64) []byte {
		b := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 19 << 3}, size)
		return append(b, byte(1000<<3&0xff|1<<1|1), 1000>>5, 0, 'a')
	}
	content := bytes.Repeat([]byte{'a'}, 1_000)
	for size, says := range map[int]uint64{1_000: 1_000, 1_001: 1_000, 999: 1_000, math.MaxInt: math.MaxInt, 1 << 30: 1 << 30, vault.MaxBlob + 1: vault.MaxBlob + 1, vault.MaxBlob: 1_000, vault.MaxBlob - 1: 1<<64 - 1} {
		b, sealed := p.AddPacked(k.ID(content), size, frame(says))
		var got []byte
		taken := allocated(func() { got, err = u.Open(nil, b, sealed) })
		require.Less(t, taken, 4<<20, "%d", size)
		if size == 1_000 {
			require.NoError(t, err)
			require.Equal(t, content, got)
			continue
		}
		require.ErrorIs(t, err, vault.ErrCorrupt, "%d", size)
	}
}

func TestAPackOfALaterKeyOpensLater(t *testing.T) {
	old := vault.NewKeys()
	before, _, _ := pack(t, old, []byte("1"))
	k := rotated(t, old)
	after, blobs, all := pack(t, k, []byte("2"))
	_, err := k.NewUnpacker(before)
	require.NoError(t, err)
	_, err = old.NewUnpacker(after)
	require.ErrorIs(t, err, vault.ErrEpoch)
	_, _, err = footer(old, all)
	require.ErrorIs(t, err, vault.ErrEpoch)
	got, err := blob(t, k, after, blobs[0], of(all, blobs[0]))
	require.NoError(t, err)
	require.Equal(t, "2", string(got))
	_, err = k.NewUnpacker(vault.Header{})
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

func TestAnUnpackerIsUsedByManyAtOnce(t *testing.T) {
	k := vault.NewKeys()
	h, blobs, all := pack(t, k, contents()[:20]...)
	u, err := k.NewUnpacker(h)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n, c := range contents()[:20] {
				if got, err := u.Open(nil, blobs[n], of(all, blobs[n])); err != nil || !bytes.Equal(c, got) {
					t.Errorf("blob %d: %v", n, err)
				}
			}
		})
	}
	group.Wait()
}

func TestADamagedPackHasNoFooter(t *testing.T) {
	k := vault.NewKeys()
	_, blobs, good := pack(t, k, []byte("a"), []byte("bc"))
	end := blobs[1].Offset + blobs[1].Length
	damaged(good, func(bad []byte, how string) {
		_, listed, err := footer(k, bad)
		if err == nil { // the damage is in a blob, of which a footer says nothing
			require.Len(t, bad, len(good), how)
			require.Equal(t, blobs, listed)
			require.Equal(t, good[:32], bad[:32])
			require.Equal(t, good[end:], bad[end:])
			return
		}
		require.ErrorIs(t, err, vault.ErrCorrupt, how)
	})
	_, _, err := footer(vault.NewKeys(), good)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	_, _, err = k.Footer(bytes.NewReader(good), 1<<40)
	require.ErrorIs(t, err, vault.ErrCorrupt)
	_, _, err = k.Footer(bytes.NewReader(good), int64(len(good)+1))
	require.ErrorIs(t, err, vault.ErrCorrupt)
	_, _, err = footer(k, slices.Concat(good[:32], good[end:]))
	require.ErrorIs(t, err, vault.ErrCorrupt, "without its blobs")
	_, _, err = k.Footer(gone{}, 1<<20)
	require.ErrorIs(t, err, fs.ErrNotExist, "what cannot be read is not damaged")
	require.NotErrorIs(t, err, vault.ErrCorrupt)
}

// huge is a pack that says it has a footer of so many bytes.
type huge uint32

func (h huge) ReadAt(b []byte, offset int64) (int, error) {
	switch {
	case offset == 0:
		return copy(b, "upk\x01\x00\x00\x00\x01"+string(noise(1, 24))), nil
	case len(b) == 4:
		binary.BigEndian.PutUint32(b, uint32(h))
	}
	return len(b), nil
}

func TestAFooterTakesNoMoreMemoryThanOneMayHave(t *testing.T) {
	k := vault.NewKeys()
	for _, length := range []huge{0, 16, 17, 1 << 10, 1 << 27, 1<<30 - 36, 1<<32 - 1} {
		var err error
		taken := allocated(func() { _, _, err = k.Footer(length, vault.MaxPack) })
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.Less(t, taken, 4<<20)
	}
}

// gone is a pack that cannot be read.
type gone struct{}

func (gone) ReadAt([]byte, int64) (int, error) { return 0, fs.ErrNotExist }

// TestAFooterHasOneForm: footers that somebody wrote who has the keys.
func TestAFooterHasOneForm(t *testing.T) {
	k := vault.NewKeys()
	id := noise(1, 32)
	entry := func(length, size uint64) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(bytes.Clone(id), length), size)
	}
	list := func(count byte, entries ...[]byte) []byte {
		return append([]byte{count}, slices.Concat(entries...)...)
	}
	for _, tt := range []struct {
		what   string
		blobs  int
		footer []byte
		good   bool
	}{
		{"no blob", 0, list(0), true},
		{"two", 40, list(2, entry(20, 4), entry(20, 5)), true},
		{"bytes that are in no blob", 41, list(2, entry(20, 4), entry(20, 5)), false},
		{"bytes that are in no blob, and none", 1, list(0), false},
		{"more bytes than there are", 39, list(2, entry(20, 4), entry(20, 5)), false},
		{"less blobs than it says", 20, list(2, entry(20, 4)), false},
		{"more blobs than it says", 20, list(1, entry(20, 4), entry(20, 4)), false},
		{"a byte more", 20, append(list(1, entry(20, 4)), 0), false},
		{"half of one", 20, list(1, entry(20, 4)[:33]), false},
		{"nothing", 0, nil, false},
		{"a blob without a tag", 15, list(1, entry(15, 4)), false},
		{"a blob that has grown", 20, list(1, entry(20, 3)), false},
		{"a blob that is too large", 20, list(1, entry(20, vault.MaxBlob+1)), false},
		{"a size of 2⁶³", 20, list(1, entry(20, 1<<63)), false},
		{"a length of 2⁶⁴-1", 20, list(1, entry(1<<64-1, 4)), false},
		{"a count in two bytes", 20, append([]byte{0x81, 0}, entry(20, 4)...), false},
		{"a length in two bytes", 20, list(1, slices.Concat(id, []byte{0x94, 0, 4})), false},
		{"a size in two bytes", 20, list(1, slices.Concat(id, []byte{20, 0x84, 0})), false},
		{"a count of 2⁶³", 0, binary.AppendUvarint(nil, 1<<63), false},
	} {
		_, _, err := footer(k, k.PackOf(make([]byte, tt.blobs), tt.footer))
		if tt.good {
			require.NoError(t, err, tt.what)
			continue
		}
		require.ErrorIs(t, err, vault.ErrCorrupt, tt.what)
	}
}

func FuzzFooter(f *testing.F) {
	k := vault.NewKeysFrom(drawn()) // the same in every process of a fuzzer
	_, blobs, good := pack(f, k, []byte("content"), prose(1, 1_000))
	list := append([]byte{1}, append(noise(2, 32), 20, 4)...)
	f.Add(good, uint16(20), list)
	f.Add(good[:len(good)-1], uint16(0), []byte{0})
	f.Fuzz(func(t *testing.T, pack []byte, length uint16, list []byte) {
		if _, listed, err := footer(k, pack); err == nil {
			require.Equal(t, blobs, listed, "nobody else can seal")
		} else if !errors.Is(err, vault.ErrCorrupt) {
			t.Error(err)
		}
		_, listed, err := footer(k, k.PackOf(make([]byte, length), list))
		if err != nil {
			require.ErrorIs(t, err, vault.ErrCorrupt)
			return
		}
		again := binary.AppendUvarint(nil, uint64(len(listed)))
		end := 32
		for _, b := range listed {
			require.Equal(t, end, b.Offset)
			end += b.Length
			again = append(again, b.ID[:]...)
			again = binary.AppendUvarint(binary.AppendUvarint(again, uint64(b.Length)), uint64(b.Size))
		}
		require.Equal(t, 32+int(length), end)
		require.Equal(t, list, again, "one form")
	})
}
