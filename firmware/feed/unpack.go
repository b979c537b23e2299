package feed

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/upkeep-go/upkeep/firmware"
)

// Unpack implements firmware.Verifier.
func (k Keys) Unpack(way firmware.Way, sent, window []byte, size int64) ([]byte, error) {
	if way != firmware.WayZstd && way != firmware.WayPatch {
		return nil, fmt.Errorf("%w: way %q packs nothing", firmware.ErrInvalid, way)
	}
	if size <= 0 || size > firmware.MaxSegment {
		return nil, fmt.Errorf("%w: %d bytes to unpack, at most %d are allowed", firmware.ErrCorrupt, size, firmware.MaxSegment)
	}
	options := []zstd.DOption{
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
	}
	if way == firmware.WayPatch {
		options = append(options, zstd.WithDecoderDictRaw(0, window))
	}
	d, err := zstd.NewReader(nil, options...) // it has no goroutines
	if err != nil {
		return nil, fmt.Errorf("%w: a window of %d bytes: %w", firmware.ErrCorrupt, len(window), err)
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
