package feed

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/upkeep-go/upkeep/firmware"
)

// Unpacker implements firmware.Verifier.
func (k Keys) Unpacker() firmware.Unpacker { return &unpacker{} }

// unpacker uses its decoder, which has no goroutines, again and again.
type unpacker struct{ decoder *zstd.Decoder }

// Unpack implements firmware.Unpacker.
func (u *unpacker) Unpack(way firmware.Way, sent, window, raw []byte) (err error) {
	if way != firmware.WayZstd && way != firmware.WayPatch {
		return fmt.Errorf("%w: way %q packs nothing", firmware.ErrInvalid, way)
	}
	if len(raw) == 0 || len(raw) > firmware.MaxSegment {
		return fmt.Errorf("%w: %d bytes to unpack, at most %d are allowed", firmware.ErrCorrupt, len(raw), firmware.MaxSegment)
	}
	if u.decoder == nil {
		u.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return err
		}
	}
	start := zstd.WithDecoderDictDelete()
	if way == firmware.WayPatch {
		start = zstd.WithDecoderDictRaw(0, window)
	}
	if err := u.decoder.ResetWithOptions(nil, start); err != nil {
		return fmt.Errorf("%w: a window of %d bytes: %w", firmware.ErrCorrupt, len(window), err)
	}
	got, err := u.decoder.DecodeAll(sent, raw[:0:len(raw)])
	if err != nil {
		u.decoder = nil // whatever has become of it
		return fmt.Errorf("%w: unpacking what came by %s: %w", firmware.ErrCorrupt, way, err)
	}
	if len(got) != len(raw) {
		return fmt.Errorf("%w: unpacked by %s it has %d bytes, not %d", firmware.ErrCorrupt, way, len(got), len(raw))
	}
	return nil
}
