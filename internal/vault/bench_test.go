package vault_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

// BenchmarkVault seals 12 MiB at a time, and opens them, beside zstd alone doing
// the same to the same: x-zstd is how many times as long it takes,
// the median.
func BenchmarkVault(b *testing.B) {
	k := vault.NewKeys()
	for _, of := range []struct {
		name string
		make func(byte, int) []byte
		size int
	}{{"prose", prose, 8 << 10}, {"prose", prose, 1 << 20}, {"noise", noise, 8 << 10}, {"noise", noise, 1 << 20}} {
		var all [][]byte
		for n := range 12 << 20 / of.size {
			all = append(all, of.make(byte(n), of.size))
		}
		ids := make([][32]byte, len(all))
		for i, c := range all {
			ids[i] = k.ID(c)
		}
		name := fmt.Sprintf("%s/%dKiB", of.name, of.size>>10)
		b.Run("Add/"+name, func(b *testing.B) { benchmarkAdd(b, k, all, ids) })
		b.Run("Open/"+name, func(b *testing.B) { benchmarkOpen(b, k, all, ids) })
		b.Run("Seal/"+name, func(b *testing.B) {
			beside(b, 12<<20, func() {
				for _, c := range all {
					k.Seal(note, "name", c)
				}
			}, compress(b, all))
		})
	}
	content := noise(1, 1<<20)
	b.Run("ID", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(1 << 20)
		for b.Loop() {
			k.ID(content)
		}
	})
	b.Run("OpenSlot", func(b *testing.B) {
		slot, err := k.Slot("pass", "name")
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = vault.OpenSlot(slot, "pass")
		}
	})
}

// beside measures what ours does, and then theirs each time.
func beside(b *testing.B, size int64, ours, theirs func()) {
	ours()
	theirs()
	b.ReportAllocs()
	b.SetBytes(size)
	var ratios []float64
	for b.Loop() {
		begun := time.Now()
		ours()
		own := time.Since(begun)
		b.StopTimer()
		begun = time.Now()
		theirs()
		ratios = append(ratios, float64(own)/float64(time.Since(begun)))
		b.StartTimer()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-zstd")
}

func compress(b *testing.B, all [][]byte) func() {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	require.NoError(b, err)
	buf := make([]byte, 0, 16<<20)
	return func() {
		buf = buf[:0]
		for _, c := range all {
			buf = enc.EncodeAll(c, buf)
		}
	}
}

func benchmarkAdd(b *testing.B, k *vault.Keys, all [][]byte, ids [][32]byte) {
	buf := make([]byte, 0, 16<<20)
	beside(b, 12<<20, func() {
		p := k.NewPacker(buf)
		for i, c := range all {
			if _, err := p.Add(ids[i], c); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := p.Finish(); err != nil {
			b.Fatal(err)
		}
	}, compress(b, all))
}

func benchmarkOpen(b *testing.B, k *vault.Keys, all [][]byte, ids [][32]byte) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	require.NoError(b, err)
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	require.NoError(b, err)
	h, blobs, packed := pack(b, k, all...)
	u, err := k.NewUnpacker(h)
	require.NoError(b, err)
	var alone [][]byte
	for _, c := range all {
		alone = append(alone, bytes.Clone(enc.EncodeAll(c, nil)))
	}
	var buf, other []byte
	beside(b, 12<<20, func() {
		for _, blob := range blobs {
			if buf, err = u.Open(buf[:0], blob, of(packed, blob)); err != nil {
				b.Fatal(err)
			}
		}
	}, func() {
		for _, c := range alone {
			if other, err = dec.DecodeAll(c, other[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
