package firmware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/upkeep-go/upkeep/internal/cdc"
)

// Chunks is what is sent for a segment by WayChunks: of which chunks it is made,
// in their order, and where those are that the running image does not have.
type Chunks struct {
	Object string // has the chunks, each packed as by WayZstd
	List   []Chunk
}

// Chunk is a part of a segment.
type Chunk struct {
	Digest       [32]byte // SHA-256 of its raw bytes
	Size         int64    // of them
	Offset, Sent int64    // of its packed bytes in the object
	SentDigest   [32]byte // SHA-256 of them
}

const chunksMagic = "upkfwc1\n"

// MarshalBinary returns the form that is sent.
func (c Chunks) MarshalBinary() ([]byte, error) {
	b := append([]byte(chunksMagic), byte(len(c.Object)))
	b = append(b, c.Object...)
	b = binary.AppendUvarint(b, uint64(len(c.List)))
	for _, chunk := range c.List {
		b = append(b, chunk.Digest[:]...)
		for _, n := range []int64{chunk.Size, chunk.Offset, chunk.Sent} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = append(b, chunk.SentDigest[:]...)
	}
	return b, nil
}

// UnmarshalBinary reads it; anything else is ErrCorrupt.
func (c *Chunks) UnmarshalBinary(b []byte) error {
	r := indexReader{rest: b}
	if string(r.bytes(len(chunksMagic))) != chunksMagic {
		return fmt.Errorf("%w: not a list of chunks", ErrCorrupt)
	}
	var next Chunks
	if length := r.bytes(1); r.err == nil {
		next.Object = string(r.bytes(int(length[0])))
	}
	for range r.count(67) {
		next.List = append(next.List, Chunk{
			Digest: r.digest(), Size: r.number(), Offset: r.number(), Sent: r.number(), SentDigest: r.digest(),
		})
		if last := next.List[len(next.List)-1]; r.err == nil && (last.Size <= 0 || last.Size > cdc.Max || last.Sent <= 0 || last.Sent > 2*cdc.Max) {
			r.err = fmt.Errorf("%w: a chunk of %d bytes, %d as it is sent", ErrCorrupt, last.Size, last.Sent)
		}
	}
	if r.err == nil && (len(r.rest) > 0 || next.Object == "") {
		r.err = fmt.Errorf("%w: a list of chunks of another form", ErrCorrupt)
	}
	if r.err == nil {
		*c = next
	}
	return r.err
}

// maxChunks bounds how many chunks of the running image are remembered, so that
// the memory for them does not grow with the image. They are of the first 2 GiB
// or so.
const maxChunks = 1 << 17

// chunkStore knows where the chunks of the running image are.
type chunkStore struct {
	at map[[16]byte]extent // by the first half of their digest
}

type extent struct {
	offset int64
	size   int32
}

// readChunks cuts the running image, once for a run.
func readChunks(ctx context.Context, base Image) (*chunkStore, error) {
	s := &chunkStore{at: map[[16]byte]extent{}}
	r := io.NewSectionReader(base, 0, base.Size())
	buf := make([]byte, 0, 1<<20)
	for offset, end := int64(0), false; len(s.at) < maxChunks; {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		for !end && len(buf) < cap(buf) {
			n, err := r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if errors.Is(err, io.EOF) {
				end = true
			} else if err != nil {
				return nil, fmt.Errorf("%w: reading the running image: %w", ErrCorrupt, err)
			}
		}
		rest := buf
		for len(rest) > cdc.Max || end && len(rest) > 0 {
			n := cdc.Cut(rest)
			d := sha256.Sum256(rest[:n])
			s.at[[16]byte(d[:16])] = extent{offset, int32(n)}
			offset, rest = offset+int64(n), rest[n:]
		}
		if end {
			break
		}
		buf = buf[:copy(buf, rest)]
	}
	return s, nil
}

// assemble makes segment i of chunks, which is its way n.
func (f *fetcher) assemble(ctx context.Context, i, n int, sent []byte) ([]byte, error) {
	_, size := f.index.Extent(i)
	var list Chunks
	if err := list.UnmarshalBinary(sent); err != nil {
		return nil, err
	}
	if f.chunks == nil {
		var err error
		if f.chunks, err = readChunks(ctx, f.base); errors.Is(err, ErrCorrupt) {
			f.missing = append(f.missing, f.index.Segments[i].Parts[n].Object) // it would be read anew for each segment
		}
		if err != nil {
			return nil, err
		}
	}
	if !f.dear && f.costs(list) > f.otherwise(i, n) {
		return nil, errDear
	}
	raw := make([]byte, 0, size)
	defer f.hangUp() // the next list is elsewhere
	for i, c := range list.List {
		if int64(len(raw))+c.Size > size {
			return nil, fmt.Errorf("%w: chunks of more than %d bytes", ErrCorrupt, size)
		}
		if here := f.chunk(c); here != nil {
			raw = append(raw, here...)
			continue
		}
		chunk, err := f.pullChunk(ctx, list, i)
		if err != nil {
			return nil, err
		}
		raw = append(raw, chunk...)
	}
	return raw, nil
}

// costs is how many bytes of chunks are to be pulled.
func (f *fetcher) costs(list Chunks) (n int64) {
	for _, c := range list.List {
		if _, known := f.chunks.at[[16]byte(c.Digest[:16])]; !known {
			n += min(c.Sent, cdc.Max*2)
		}
	}
	return n
}

// otherwise is how many bytes segment i costs by the ways after n.
func (f *fetcher) otherwise(i, n int) int64 {
	for _, p := range f.index.Segments[i].Parts[n+1:] {
		if f.skips(p) == nil {
			return p.Size
		}
	}
	return math.MaxInt64
}

// chunk reads a chunk from the running image, or returns nil.
func (f *fetcher) chunk(c Chunk) []byte {
	at, known := f.chunks.at[[16]byte(c.Digest[:16])]
	if !known || int64(at.size) != c.Size {
		return nil
	}
	f.window = grow(f.window, c.Size)
	if n, _ := f.base.ReadAt(f.window, at.offset); int64(n) < c.Size || sha256.Sum256(f.window) != c.Digest {
		return nil
	}
	return f.window
}

// pullChunk gets a chunk from the feed. Those that follow one another come by
// one request.
func (f *fetcher) pullChunk(ctx context.Context, list Chunks, i int) ([]byte, error) {
	c := list.List[i]
	if f.stream == nil || f.stream.object != list.Object || f.stream.at != c.Offset || f.stream.end < c.Offset+c.Sent {
		f.hangUp()
		end := c.Offset + c.Sent
		for _, next := range list.List[i+1:] {
			_, known := f.chunks.at[[16]byte(next.Digest[:16])]
			if known || next.Offset != end {
				break
			}
			end += next.Sent
		}
		stream, err := f.open(ctx, list.Object, c.Offset, end-c.Offset)
		if err != nil {
			return nil, err
		}
		f.stream = stream
	}
	f.window = grow(f.window, c.Sent)
	n, err := f.stream.fill(ctx, f.window, &f.rate)
	f.pulled[WayChunks] += int64(n)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(f.window) != c.SentDigest {
		return nil, fmt.Errorf("%w: object %q has other bytes than were signed", ErrCorrupt, list.Object)
	}
	return f.s.config.Verifier.Unpack(WayZstd, f.window, nil, c.Size)
}
