package feed

import (
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// packer packs. The same bytes come out for the same bytes in, whatever was
// packed before. Its encoders, which nobody uses at present, are those without
// another image, by the logarithm of their window: they have tables of 32 MiB.
type packer struct{ encoders [64]sync.Pool }

// pack packs raw against a window of another image, or by itself if that is nil.
// The dictionary's number is 0, as with zstd --patch-from.
func (p *packer) pack(raw, window []byte) ([]byte, error) {
	size := max(bits.Len(uint(len(raw)+len(window)-1)), bits.Len(zstd.MinWindowSize-1))
	if window != nil { // to give an encoder another dictionary costs as much as another encoder
		enc, err := encoder(size, zstd.WithEncoderDictRaw(0, window))
		if err != nil {
			return nil, err
		}
		return enc.EncodeAll(raw, nil), nil
	}
	pool := &p.encoders[size]
	enc, reused := pool.Get().(*zstd.Encoder)
	if !reused {
		var err error
		if enc, err = encoder(size); err != nil {
			return nil, err
		}
	}
	defer pool.Put(enc)
	return enc.EncodeAll(raw, nil), nil
}

func encoder(size int, more ...zstd.EOption) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, append(more,
		zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<size))...) // all has a digest
}
