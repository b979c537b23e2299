package firmware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

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
	if c.Object == "" || len(c.Object) > 255 {
		return nil, fmt.Errorf("%w: an object's name has %d bytes, 1 to 255 are allowed", ErrInvalid, len(c.Object))
	}
	for _, chunk := range c.List {
		if err := chunk.check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
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

// maxSent bounds what is sent for a chunk, in bytes.
const maxSent = 2 * cdc.Max

func (c Chunk) check() error {
	if c.Size <= 0 || c.Size > cdc.Max || c.Sent <= 0 || c.Sent > maxSent || c.Offset < 0 {
		return fmt.Errorf("a chunk of %d bytes, %d as it is sent from %d", c.Size, c.Sent, c.Offset)
	}
	return nil
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
		if err := next.List[len(next.List)-1].check(); r.err == nil && err != nil {
			r.err = fmt.Errorf("%w: %w", ErrCorrupt, err)
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

// lists are lists of chunks, of segments that follow one another.
type lists struct {
	object string
	at     int64 // of sent in the object
	sent   []byte
}

// listsAhead is how many bytes of lists come by one request: those of some 25
// segments of 1 MiB.
const listsAhead = 128 << 10

// list returns the list of chunks of segment i, its way n, as it is sent. It
// reads ahead, and finds out for which segments another way costs less, so that
// these can come by one request too.
func (f *fetcher) list(ctx context.Context, i, n int) ([]byte, error) {
	p := f.index.Segments[i].Parts[n]
	a := &f.ahead
	at := p.Offset - a.at
	if a.object != p.Object || at < 0 || at+p.Size > int64(len(a.sent)) {
		f.hangUp()
		size := f.extent(i, p, listsAhead) - p.Offset
		stream, err := f.open(ctx, p.Object, p.Offset, size)
		if err != nil {
			return nil, err
		}
		defer stream.close()
		a.object, a.at, a.sent = p.Object, p.Offset, grow(a.sent, size)
		read, err := stream.fill(ctx, a.sent, &f.rate)
		f.pulled[WayChunks] += int64(read)
		a.sent = a.sent[:read]
		if int64(read) < p.Size {
			return nil, err
		}
		if err := f.judge(ctx, i, p.Object); err != nil {
			a.sent = a.sent[:0]
			return nil, err
		}
		at = 0
	}
	sent := a.sent[at : at+p.Size]
	if f.dearer(i) {
		return nil, errDear
	}
	return sent, nil
}

// judge looks which of the segments from i on cost less by another way than by
// the chunks of the lists that were read ahead.
func (f *fetcher) judge(ctx context.Context, i int, object string) error {
	if f.chunks == nil {
		var err error
		if f.chunks, err = readChunks(ctx, f.base); errors.Is(err, ErrCorrupt) {
			f.missing = append(f.missing, object) // it would be read anew for each segment
		}
		if err != nil {
			return err
		}
	}
	if f.costly == nil {
		f.costly = make([]bool, len(f.index.Segments))
	}
	for ; i < len(f.index.Segments); i++ {
		n := slices.IndexFunc(f.index.Segments[i].Parts, func(p Part) bool { return p.Way == WayChunks })
		if n < 0 {
			return nil
		}
		p := f.index.Segments[i].Parts[n]
		at := p.Offset - f.ahead.at
		if p.Object != object || at < 0 || at+p.Size > int64(len(f.ahead.sent)) {
			return nil
		}
		var list Chunks
		sent := f.ahead.sent[at : at+p.Size]
		if sha256.Sum256(sent) == p.Digest && list.UnmarshalBinary(sent) == nil { // else its turn will tell
			f.costly[i] = f.costs(list) > f.otherwise(i, n)
		}
	}
	return nil
}

// dearer reports whether the chunks of segment i are left because another way
// costs less.
func (f *fetcher) dearer(i int) bool { return f.dear != i && f.costly != nil && f.costly[i] }

// assemble makes a segment of the chunks of a list.
func (f *fetcher) assemble(ctx context.Context, sent []byte) ([]byte, error) {
	var list Chunks
	if err := list.UnmarshalBinary(sent); err != nil {
		return nil, err
	}
	rest := f.raw
	defer f.hangUp() // the next list is elsewhere
	for i, c := range list.List {
		if int64(len(rest)) < c.Size {
			return nil, fmt.Errorf("%w: chunks of more than %d bytes", ErrCorrupt, len(f.raw))
		}
		raw := rest[:c.Size]
		if rest = rest[c.Size:]; f.chunk(c, raw) {
			continue
		}
		if err := f.pullChunk(ctx, list, i, raw); err != nil {
			return nil, err
		}
	}
	return f.raw[:len(f.raw)-len(rest)], nil
}

// costs is how many bytes of chunks are to be pulled.
func (f *fetcher) costs(list Chunks) (n int64) {
	for _, c := range list.List {
		if _, known := f.chunks.find(c.Digest); !known {
			n += c.Sent
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

// chunk reads a chunk from the running image, if it is there.
func (f *fetcher) chunk(c Chunk, raw []byte) bool {
	offset, known := f.chunks.find(c.Digest)
	if !known {
		return false
	}
	n, _ := f.base.ReadAt(raw, offset)
	return n == len(raw) && sha256.Sum256(raw) == c.Digest
}

// pullChunk gets a chunk from the feed. Those that follow one another come by
// one request.
func (f *fetcher) pullChunk(ctx context.Context, list Chunks, i int, raw []byte) error {
	c := list.List[i]
	if f.stream == nil || f.stream.object != list.Object || f.stream.at != c.Offset || f.stream.end < c.Offset+c.Sent {
		f.hangUp()
		end := c.Offset + c.Sent
		for _, next := range list.List[i+1:] {
			if _, known := f.chunks.find(next.Digest); known || next.Offset != end {
				break
			}
			end += next.Sent
		}
		stream, err := f.open(ctx, list.Object, c.Offset, end-c.Offset)
		if err != nil {
			return err
		}
		f.stream = stream
	}
	f.window = grow(f.window, c.Sent)
	n, err := f.stream.fill(ctx, f.window, &f.rate)
	f.pulled[WayChunks] += int64(n)
	if err != nil {
		return err
	}
	if sha256.Sum256(f.window) != c.SentDigest {
		return fmt.Errorf("%w: object %q has other bytes than were signed", ErrCorrupt, list.Object)
	}
	return f.unpacker.Unpack(WayZstd, f.window, nil, raw)
}
