package firmware_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestNothingIsWrittenThatNobodyCouldRead(t *testing.T) {
	chunk := firmware.Chunk{Size: 1, Sent: 1}
	for name, c := range map[string]firmware.Chunks{
		"no name":              {List: []firmware.Chunk{chunk}},
		"a long name":          {Object: strings.Repeat("a", 256), List: []firmware.Chunk{chunk}},
		"a chunk of nothing":   {Object: "a", List: []firmware.Chunk{{Sent: 1}}},
		"a chunk in front":     {Object: "a", List: []firmware.Chunk{{Size: 1, Sent: 1, Offset: -1}}},
		"a chunk that is huge": {Object: "a", List: []firmware.Chunk{{Size: 1 << 30, Sent: 1}}},
	} {
		_, err := c.MarshalBinary()
		require.ErrorIs(t, err, firmware.ErrInvalid, name)
	}
	const many = 4097 // objects
	x := firmware.Index{Size: many * firmware.MinSegment, SegmentSize: firmware.MinSegment}
	for i := range many {
		part := firmware.Part{Way: firmware.WayZstd, Object: fmt.Sprint(i), Size: 1}
		x.Segments = append(x.Segments, firmware.Segment{Parts: []firmware.Part{part}})
	}
	_, err := x.MarshalBinary()
	require.ErrorIs(t, err, firmware.ErrInvalid)
}

// A feed may be younger than the devices in the field.
func TestAWayOfALaterVersionIsPassedOver(t *testing.T) {
	digest := [32]byte{7, 7, 7}
	patch := firmware.Part{Way: firmware.WayPatch, Object: "patches", Size: 9, Base: 1, BaseSize: 2, From: [32]byte{5}}
	zstd := firmware.Part{Way: firmware.WayZstd, Object: "packed", Size: 8}
	raw := firmware.Part{Way: firmware.WayRaw, Object: "raw", Size: 7}
	for code, first := range map[byte]firmware.Part{4: zstd, 127: zstd, 128: patch, 254: patch} {
		x := firmware.Index{Size: 7, SegmentSize: 7, Segments: []firmware.Segment{{Digest: digest, Parts: []firmware.Part{first, raw}}}}
		text, err := x.MarshalBinary()
		require.NoError(t, err)
		text[bytes.Index(text, digest[:])+len(digest)+1] = code
		var got firmware.Index
		require.NoError(t, got.UnmarshalBinary(text), code)
		x.Segments[0].Parts, x.Skipped = x.Segments[0].Parts[1:], 1
		require.Equal(t, x, got)
		for n := range text {
			require.ErrorIs(t, got.UnmarshalBinary(text[:n]), firmware.ErrCorrupt)
		}
	}
	x := firmware.Index{Size: 7, SegmentSize: 7, Segments: []firmware.Segment{{Digest: digest, Parts: []firmware.Part{raw}}}}
	text, err := x.MarshalBinary()
	require.NoError(t, err)
	text[bytes.Index(text, digest[:])+len(digest)+1] = 4
	err = x.UnmarshalBinary(text)
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	require.ErrorContains(t, err, "1 parts come in ways that are not known here")
}
