package vault

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const (
	window     = 1 << 20 // bytes in which zstd looks for what was there before
	maxScratch = 5 << 20 // that is kept for the next
	// slack is what zstd may have after its output: with less it is slower.
	slack = 32
)

// codec compresses and decompresses, one content at a time, in memory that is
// used again.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	nonce   [nonceSize]byte // of what is opened, and its ID
	id      [32]byte
	scratch []byte
}

// codec returns one that nobody uses.
func (k *Keys) codec() *codec {
	if c, ok := k.codecs.Get().(*codec); ok {
		return c
	}
	// Neither has goroutines. What they make and read is sealed: no sum is needed.
	return &codec{encoder: must(zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(window), zstd.WithSingleSegment(true)))} // says its size
}

// release gives a codec to the next.
func (k *Keys) release(c *codec) {
	if cap(c.scratch) > maxScratch {
		c.scratch = nil
	}
	k.codecs.Put(c)
}

// most is how many bytes pack takes for content of so many, while it works.
func (c *codec) most(size int) int { return c.encoder.MaxEncodedSize(size) }

// pack appends content, compressed if that makes it shorter: by its length it is
// told from content as it is. There is room for most in b.
func (c *codec) pack(b, content []byte) []byte {
	if packed := c.encoder.EncodeAll(content, b); len(packed)-len(b) < len(content) {
		return packed
	}
	return append(b, content...)
}

// packed returns what pack appends. It is valid until the codec is used again, and
// as long as the content is.
func (c *codec) packed(content []byte) []byte {
	c.scratch = c.encoder.EncodeAll(content, slices.Grow(c.scratch[:0], c.most(len(content))))
	if len(c.scratch) < len(content) {
		return c.scratch
	}
	return content
}

// unpack appends content of a size from what pack has made of it.
func (c *codec) unpack(b, packed []byte, size int) (content []byte, err error) {
	if len(packed) >= size {
		if len(packed) > size {
			return nil, fmt.Errorf("%w: it is longer than its content", ErrCorrupt)
		}
		return append(grow(b, size), packed...), nil
	}
	if c.decoder == nil {
		c.decoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true)))
	}
	var says zstd.Header
	if says.Decode(packed) != nil || says.FrameContentSize != uint64(size) {
		return nil, fmt.Errorf("%w: it is not compressed, or not from %d bytes", ErrCorrupt, size)
	}
	b = grow(b, size+slack)
	got, err := c.decoder.DecodeAll(packed, b[len(b):len(b):len(b)+size+slack])
	if err != nil || len(got) != size || &got[0] != &b[:len(b)+1][len(b)] { // in other memory than it was given
		c.decoder = nil // whatever has become of it
		return nil, fmt.Errorf("%w: it does not decompress", ErrCorrupt)
	}
	return b[:len(b)+size], nil
}

// grow is slices.Grow without more room than is asked for.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, len(b)+n), b...)
}
