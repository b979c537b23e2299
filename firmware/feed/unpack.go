package feed

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/upkeep-go/upkeep/firmware"
)

// decoders are those that nobody uses: what one needs besides the bytes in and
// out is worth to be kept. None has goroutines of its own.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // an option is wrong
	}
	return d
}}

// Unpack implements firmware.Verifier.
func (k Keys) Unpack(way firmware.Way, sent, window []byte, size int64) ([]byte, error) {
	if way != firmware.WayZstd && way != firmware.WayPatch {
		return nil, fmt.Errorf("%w: way %q packs nothing", firmware.ErrInvalid, way)
	}
	if size <= 0 || size > firmware.MaxSegment {
		return nil, fmt.Errorf("%w: %d bytes to unpack, at most %d are allowed", firmware.ErrCorrupt, size, firmware.MaxSegment)
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	if way == firmware.WayPatch {
		if err := d.ResetWithOptions(nil, zstd.WithDecoderDictRaw(0, window)); err != nil {
			return nil, fmt.Errorf("%w: a window of %d bytes: %w", firmware.ErrCorrupt, len(window), err)
		}
		defer func() { _ = d.ResetWithOptions(nil, zstd.WithDecoderDictDelete(0)) }() // it cannot fail
	}
	raw, err := d.DecodeAll(sent, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: unpacking what came by %s: %w", firmware.ErrCorrupt, way, err)
	}
	if int64(len(raw)) != size {
		return nil, fmt.Errorf("%w: unpacked by %s it has %d bytes, not %d", firmware.ErrCorrupt, way, len(raw), size)
	}
	return raw, nil
}
