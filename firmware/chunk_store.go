package firmware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/upkeep-go/upkeep/internal/cdc"
)

// maxChunks bounds how many chunks of the running image are remembered, so that
// the memory for them, 16 bytes each, does not grow with the image. They are of
// the first 2 GiB or so.
const maxChunks = 1 << 17

// chunkStore knows where the chunks of the running image are, as good as surely:
// of their digests it has some bits only, and whoever reads there looks himself.
// It is a hash table in which what is taken falls to the next slot; a slot has
// the upper bits of a chunk's mark, and below them one more than its offset.
type chunkStore struct {
	slots []uint64
	count int
}

// placeBits are enough for the places of maxChunks of the largest size.
const placeBits = 34

// newChunkStore is for the chunks of an image of this size.
func newChunkStore(size int64) *chunkStore {
	expected := min(uint64(size)/(cdc.Average/2)+8, maxChunks)
	return &chunkStore{slots: make([]uint64, 2<<bits.Len64(expected-1))}
}

// slot is where a chunk is, or would be.
func (s *chunkStore) slot(digest [32]byte) (at int, mark uint64) {
	at = int(binary.LittleEndian.Uint64(digest[:])) & (len(s.slots) - 1)
	mark = binary.LittleEndian.Uint64(digest[8:]) >> placeBits
	for s.slots[at] != 0 && s.slots[at]>>placeBits != mark {
		at = (at + 1) & (len(s.slots) - 1)
	}
	return at, mark
}

func (s *chunkStore) find(digest [32]byte) (offset int64, known bool) {
	at, _ := s.slot(digest)
	return int64(s.slots[at]&(1<<placeBits-1)) - 1, s.slots[at] != 0
}

func (s *chunkStore) add(digest [32]byte, offset int64) {
	at, mark := s.slot(digest)
	if s.slots[at] == 0 {
		s.count++
	}
	s.slots[at] = mark<<placeBits | uint64(offset+1)
}

// full reports whether there are as many as can be found soon.
func (s *chunkStore) full() bool { return s.count >= len(s.slots)/2 }

// readChunks cuts the running image, once for a run.
func readChunks(ctx context.Context, base Image) (*chunkStore, error) {
	s := newChunkStore(base.Size())
	r := io.NewSectionReader(base, 0, min(base.Size(), 1<<placeBits-1))
	err := cdc.Each(ctx, r, func(raw []byte, offset int64) bool {
		s.add(sha256.Sum256(raw), offset)
		return !s.full()
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w: reading the running image: %w", ErrCorrupt, err)
	}
	return s, nil
}
