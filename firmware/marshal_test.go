package firmware_test

import (
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
