package vault_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

func TestWhatWasSealedOpens(t *testing.T) {
	k := vault.NewKeys()
	for _, c := range contents() {
		object := k.Seal(note, "notes/1", c)
		got, err := k.Open(note, "notes/1", object, len(c))
		require.NoError(t, err)
		require.True(t, bytes.Equal(c, got))
		require.LessOrEqual(t, len(object), len(c)+32+16+4, "what does not shrink is as it is")
	}
	require.Less(t, len(k.Seal(note, "", prose(1, 100<<10))), 60<<10)
	require.Less(t, len(k.Seal(note, "", bytes.Repeat([]byte("ab"), 100))), 100)
}

func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	k := vault.NewKeys()
	for _, c := range [][]byte{nil, []byte("abc"), bytes.Repeat([]byte("abc"), 50)} {
		damaged(k.Seal(note, "name", c), func(bad []byte, how string) {
			got, err := k.Open(note, "name", bad, 1<<20)
			require.ErrorIs(t, err, vault.ErrCorrupt, how)
			require.Nil(t, got)
		})
	}
}

func TestAnObjectOpensAsWhatItIsOnly(t *testing.T) {
	k := vault.NewKeys()
	object := k.Seal("ab", "c", []byte("content"))
	for _, as := range []struct {
		kind vault.Kind
		name string
	}{{"ab", ""}, {"ab", "d"}, {"ab", "c\x00"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}, {"AB", "c"}, {"b", "c"}} {
		_, err := k.Open(as.kind, as.name, object, 100)
		require.ErrorIs(t, err, vault.ErrCorrupt, "%+v", as)
	}
	_, err := vault.NewKeys().Open("ab", "c", object, 100)
	require.ErrorIs(t, err, vault.ErrCorrupt, "of another repository")

	text := k.Bytes() // of another repository that has the same master key
	text[1] ^= 1
	other, err := vault.ParseKeys(text)
	require.NoError(t, err)
	_, err = other.Open("ab", "c", object, 100)
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

func TestAHeaderIsThatOfAnObject(t *testing.T) {
	k := vault.NewKeys()
	object := k.Seal(note, "name", []byte("content"))
	h, err := vault.ReadHeader(object[:32])
	require.NoError(t, err)
	require.Equal(t, object[:32], h[:])
	for why, bad := range map[string][]byte{
		"nothing": nil, "half of one": object[:31], "a later format": append([]byte("upk\x02"), object[4:]...), "a slot": append([]byte("ups\x01"), object[4:]...),
	} {
		_, err = vault.ReadHeader(bad)
		require.ErrorIs(t, err, vault.ErrCorrupt, why)
	}
}

func TestNoKeyStreamIsUsedTwice(t *testing.T) {
	k := vault.NewKeys()
	a, b := noise(1, 1_000), noise(2, 1_000)
	seals := [][]byte{k.Seal(note, "heads/7", a), k.Seal(note, "heads/7", a), k.Seal(note, "heads/7", b), k.Seal("index", "heads/7", a)}
	for i, one := range seals {
		for _, other := range seals[:i] {
			require.NotEqual(t, one[8:32], other[8:32], "the salts")
			body, second := one[32+2:len(one)-16], other[32+2:len(other)-16]
			require.NotEqual(t, body, second)
			require.NotEqual(t, xor(a, b), xor(body, second))
			require.NotEqual(t, make([]byte, 16), xor(body, second)[:16])
		}
	}
}

func TestNoMoreThanIsAskedForIsOpened(t *testing.T) {
	k := vault.NewKeys()
	for _, c := range [][]byte{noise(1, 1_000), prose(1, 1_000), make([]byte, 1_000)} {
		object := k.Seal(note, "", c)
		for most, opens := range map[int]bool{-1: false, 0: false, 999: false, 1_000: true, math.MaxInt: true, math.MinInt: false} {
			_, err := k.Open(note, "", object, most)
			require.Equal(t, opens, err == nil, "%d: %v", most, err)
			if err != nil {
				require.ErrorIs(t, err, vault.ErrCorrupt)
			}
		}
	}
	_, err := k.Open(note, "", k.Seal(note, "", nil), 0)
	require.NoError(t, err)
}

// TestALieTakesNoMemory: objects by somebody who has the keys, and says that they
// have less than they have, or more.
func TestALieTakesNoMemory(t *testing.T) {
	const most = 1 << 20
	k := vault.NewKeys()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true))
	require.NoError(t, err)
	var stream bytes.Buffer // does not say its size
	w, err := zstd.NewWriter(&stream)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 64<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	bomb, small := enc.EncodeAll(make([]byte, 64<<20), nil), enc.EncodeAll(make([]byte, 1_000), nil)
	half := bytes.Clone(bomb) // says that it has most bytes
	require.Equal(t, []byte{0, 0, 0, 4}, half[6:10])
	copy(half[6:], []byte{0, 0, 16, 0})
	for why, object := range map[string][]byte{
		"64 MiB":                        k.SealPacked(note, "", 64<<20, bomb),
		"64 MiB, said to be 1":          k.SealPacked(note, "", most, bomb),
		"64 MiB, and the frame says 1":  k.SealPacked(note, "", most, half),
		"64 MiB in a stream":            k.SealPacked(note, "", most, stream.Bytes()),
		"1 KB, said to be 1 MiB":        k.SealPacked(note, "", most, small),
		"a frame, and a larger one":     k.SealPacked(note, "", 1_000, append(bytes.Clone(small), bomb...)[:900]),
		"a frame, and a byte":           k.SealPacked(note, "", 1_000, append(bytes.Clone(small), enc.EncodeAll([]byte{1}, nil)...)),
		"a frame, and another":          k.SealPacked(note, "", 1_000, append(bytes.Clone(small), small...)),
		"as it is, and longer":          k.SealPacked(note, "", 10, make([]byte, 11)),
		"as it is, and 64 MiB":          k.Seal(note, "", noise(1, 64<<20)),
		"no frame":                      k.SealPacked(note, "", 10, make([]byte, 9)),
		"nothing, said to be something": k.SealPacked(note, "", 10, nil),
		"half a frame":                  k.SealPacked(note, "", 1_000, small[:len(small)-5]),
		"another checksum":              k.SealPacked(note, "", 1_000, append(bytes.Clone(small[:len(small)-1]), small[len(small)-1]^1)),
		"2⁶⁴-1 bytes":                   k.SealPacked(note, "", 1<<64-1, small),
	} {
		var err error
		taken := allocated(func() { _, err = k.Open(note, "", object, most) })
		require.ErrorIs(t, err, vault.ErrCorrupt, why)
		require.Less(t, taken, 4<<20, why)
	}
}

// allocated is how many bytes do takes, those that it gives back included.
func allocated(do func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestWhatShrinksIsPacked(t *testing.T) {
	k := vault.NewKeys()
	for _, c := range [][]byte{
		prose(1, 200_000), slices.Concat(prose(1, 150_000), noise(1, 300_000)), slices.Concat(prose(1, 100_000), noise(1, 100_000)),
	} {
		require.Less(t, len(k.Seal(note, "", c)), len(c)-5_000)
	}
	require.Less(t, len(k.Seal(note, "", noise(1, 100_000)))-100_000, 100)
}

func TestKeysAreUsedByManyAtOnce(t *testing.T) {
	k := vault.NewKeys()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name := fmt.Sprint(i)
			for n, c := range contents()[:20] {
				got, err := k.Open(note, name, k.Seal(note, name, c), 1<<20)
				if err != nil || !bytes.Equal(c, got) {
					t.Errorf("%d: %v", n, err)
				}
			}
		})
	}
	group.Wait()
}

func FuzzOpen(f *testing.F) {
	k := vault.NewKeysFrom(drawn()) // the same in every process of a fuzzer
	enc, err := zstd.NewWriter(nil)
	require.NoError(f, err)
	good := k.Seal(note, "name", []byte("content"))
	f.Add(good, uint16(7), enc.EncodeAll(prose(1, 300), nil))
	f.Add(good[:40], uint16(300), enc.EncodeAll(prose(1, 300), nil))
	f.Add(good, uint16(100), prose(1, 99))
	f.Fuzz(func(t *testing.T, object []byte, size uint16, packed []byte) {
		if got, err := k.Open(note, "name", object, 1<<10); err == nil {
			require.Equal(t, good, object, "nobody else can seal")
			require.Equal(t, "content", string(got))
		} else {
			require.ErrorIs(t, err, vault.ErrCorrupt)
		}
		if got, err := k.Open(note, "name", k.SealPacked(note, "name", uint64(size), packed), 1<<12); err == nil {
			require.Len(t, got, int(size))
		} else {
			require.ErrorIs(t, err, vault.ErrCorrupt)
		}
	})
}
