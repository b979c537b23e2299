package firmware

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Index says how to get an image, segment by segment. It is fetched only for
// the release to be installed, and verified by its digest in the catalog. Its
// binary form costs about 90 bytes for each way to get a segment.
type Index struct {
	Size        int64 // of the image
	SegmentSize int64 // of all but the last; at most MaxSegment
	Segments    []Segment
	// Skipped is how many parts UnmarshalBinary has left out, as they come in ways
	// of a later version. Nobody writes them again.
	Skipped int
}

// Limits of an Index.
const (
	MinSegment = 4 << 10  // bytes of every segment but the last
	MaxSegment = 64 << 20 // bytes of a segment, and of the window that a patch starts from; as sent an eighth more
	MaxIndex   = 64 << 20 // bytes of the binary form
	maxParts   = 16       // of a segment
)

// Segment is a part of an image.
type Segment struct {
	Digest [32]byte // SHA-256 of its raw bytes
	Parts  []Part   // ways to get it, cheapest first; what does not fit falls to the next
}

// Part is one way to get a segment.
type Part struct {
	Way          Way
	Object       string   // name in the Feed
	Offset, Size int64    // of its bytes there
	Digest       [32]byte // SHA-256 of them, as sent
	// Base and BaseSize are the window of the running image that a patch starts
	// from, and From is the SHA-256 of that image. A device that knows what runs
	// passes over the patches from other images.
	Base, BaseSize int64
	From           [32]byte
}

// Way is a way in which bytes come.
type Way string

// The ways.
const (
	WayPatch  Way = "patch"  // zstd against a window of the running image
	WayChunks Way = "chunks" // a list of chunks, of which the running image has some
	WayZstd   Way = "zstd"
	WayRaw    Way = "raw"
	WayBundle Way = "bundle" // brought by hand: in Run.Pulled only, never in an Index
)

// ways are those of an Index, by their code. A way of a later version is passed
// over by those that do not know it: from the code windowed on its parts have a
// window, as a patch has, before that they have none.
var ways = []Way{WayRaw, WayZstd, WayChunks, WayPatch}

const windowed = 128

const indexMagic = "upkfwi1\n"

// MarshalBinary returns the form that is an Object of a Feed. The names of
// objects and the digests of images stand in it once.
func (x Index) MarshalBinary() ([]byte, error) {
	if err := x.Check(); err != nil {
		return nil, err
	}
	var names, images table
	for _, s := range x.Segments {
		for _, p := range s.Parts {
			names.add(p.Object)
			if p.Way == WayPatch {
				images.add(string(p.From[:]))
			}
		}
	}
	if n := max(len(names.texts), len(images.texts)); n > maxTexts {
		return nil, fmt.Errorf("%w: an index of %d objects or images, at most %d are allowed", ErrInvalid, n, maxTexts)
	}
	b := binary.AppendUvarint([]byte(indexMagic), uint64(x.Size))
	b = binary.AppendUvarint(b, uint64(x.SegmentSize))
	b = images.append(names.append(b))
	for _, s := range x.Segments {
		b = append(b, s.Digest[:]...)
		b = append(b, byte(len(s.Parts)))
		for _, p := range s.Parts {
			b = append(b, code(p.Way))
			numbers := []int64{names.place[p.Object], p.Offset, p.Size}
			if p.Way == WayPatch {
				numbers = append(numbers, p.Base, p.BaseSize, images.place[string(p.From[:])])
			}
			for _, n := range numbers {
				b = binary.AppendUvarint(b, uint64(n))
			}
			b = append(b, p.Digest[:]...)
		}
	}
	if len(b) > MaxIndex {
		return nil, fmt.Errorf("%w: an index of %d bytes, at most %d are allowed", ErrInvalid, len(b), MaxIndex)
	}
	return b, nil
}

// table has each of many texts once.
type table struct {
	texts []string
	place map[string]int64
}

func (t *table) add(text string) {
	if _, known := t.place[text]; known {
		return
	}
	if t.place == nil {
		t.place = map[string]int64{}
	}
	t.place[text] = int64(len(t.texts))
	t.texts = append(t.texts, text)
}

func (t *table) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.texts)))
	for _, text := range t.texts {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b
}

func code(w Way) byte {
	for i, known := range ways {
		if known == w {
			return byte(i)
		}
	}
	return math.MaxUint8
}

// UnmarshalBinary reads it; anything else is ErrCorrupt. Ways that are not known
// it leaves out, as long as each segment has another.
func (x *Index) UnmarshalBinary(b []byte) error {
	r := indexReader{rest: b}
	if string(r.bytes(len(indexMagic))) != indexMagic {
		return fmt.Errorf("%w: not an index", ErrCorrupt)
	}
	next := Index{Size: r.number(), SegmentSize: r.number()}
	names, images := r.texts(), r.texts()
	count := next.count()
	if r.err == nil && count > int64(len(r.rest))/33 {
		r.err = fmt.Errorf("%w: an index of %d segments in %d bytes", ErrCorrupt, count, len(b))
	}
	if r.err == nil {
		next.Segments = make([]Segment, 0, count)
	}
	for i := int64(0); i < count && r.err == nil; i++ {
		next.Segments = append(next.Segments, r.segment(names, images))
	}
	next.Skipped = r.skipped
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%w: an index with %d bytes too many", ErrCorrupt, len(r.rest))
	}
	if r.err != nil {
		return r.err
	}
	if err := next.Check(); err != nil {
		return fmt.Errorf("%w: %w (%d parts come in ways that are not known here)", ErrCorrupt, err, next.Skipped)
	}
	*x = next
	return nil
}

// count is how many segments an image of this size has.
func (x Index) count() int64 {
	if x.SegmentSize <= 0 || x.Size <= 0 {
		return 0
	}
	return (x.Size-1)/x.SegmentSize + 1
}

// Extent is where segment i is in the image.
func (x Index) Extent(i int) (offset, size int64) {
	offset = int64(i) * x.SegmentSize
	return offset, min(x.SegmentSize, x.Size-offset)
}

// Check returns ErrInvalid for an index that nobody could follow.
func (x Index) Check() error {
	switch {
	case x.Size <= 0 || x.SegmentSize <= 0 || x.SegmentSize > MaxSegment:
		return fmt.Errorf("%w: an image of %d bytes in segments of %d", ErrInvalid, x.Size, x.SegmentSize)
	case x.SegmentSize < MinSegment && x.Size > x.SegmentSize:
		return fmt.Errorf("%w: segments of %d bytes, at least %d are needed", ErrInvalid, x.SegmentSize, MinSegment)
	case x.count() != int64(len(x.Segments)):
		return fmt.Errorf("%w: %d segments, an image of %d bytes has %d", ErrInvalid, len(x.Segments), x.Size, x.count())
	}
	for i, s := range x.Segments {
		if len(s.Parts) == 0 || len(s.Parts) > maxParts {
			return fmt.Errorf("%w: segment %d can be had in %d ways, 1 to %d are allowed", ErrInvalid, i, len(s.Parts), maxParts)
		}
		for _, p := range s.Parts {
			if err := p.check(); err != nil {
				return fmt.Errorf("%w: segment %d: %w", ErrInvalid, i, err)
			}
			if _, size := x.Extent(i); p.Way == WayRaw && p.Size != size {
				return fmt.Errorf("%w: segment %d has %d bytes, %d are to be sent", ErrInvalid, i, size, p.Size)
			}
		}
	}
	return nil
}

func (p Part) check() error {
	switch {
	case code(p.Way) == math.MaxUint8:
		return fmt.Errorf("way %q is unknown", p.Way)
	case p.Object == "" || len(p.Object) > 255:
		return fmt.Errorf("an object's name has %d bytes, 1 to 255 are allowed", len(p.Object))
	case p.Size <= 0 || p.Size > MaxSegment+MaxSegment/8:
		return fmt.Errorf("%d bytes are to be sent", p.Size)
	case p.Offset < 0 || p.Offset > math.MaxInt64-p.Size || p.Base < 0 || p.BaseSize < 0 || p.Base > math.MaxInt64-p.BaseSize:
		return fmt.Errorf("a place below 0, or beyond the end")
	case p.BaseSize > MaxSegment:
		return fmt.Errorf("a window of %d bytes, at most %d are allowed", p.BaseSize, MaxSegment)
	case p.Way != WayPatch && (p.Base != 0 || p.BaseSize != 0 || p.From != [32]byte{}):
		return fmt.Errorf("a window for way %q, which needs none", p.Way)
	}
	return nil
}

// indexReader reads the parts of the binary form; after an error they are zero.
type indexReader struct {
	rest    []byte
	err     error
	skipped int // parts
}

func (r *indexReader) bytes(n int) []byte {
	if r.err == nil && (n < 0 || n > len(r.rest)) {
		r.err = fmt.Errorf("%w: an index that ends early", ErrCorrupt)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *indexReader) number() int64 {
	n, size := binary.Uvarint(r.rest)
	if r.err == nil && (size <= 0 || n > math.MaxInt64 || size > 1 && r.rest[size-1] == 0) {
		r.err = fmt.Errorf("%w: an index with a number that is none", ErrCorrupt)
	}
	if r.err != nil {
		return 0
	}
	r.rest = r.rest[size:]
	return int64(n)
}

// count reads how many things follow that have at least so many bytes each.
func (r *indexReader) count(least int) int {
	n := r.number()
	if n > int64(len(r.rest)/least) {
		r.err = fmt.Errorf("%w: an index that ends early", ErrCorrupt)
		return 0
	}
	return int(n)
}

func (r *indexReader) digest() (d [32]byte) {
	copy(d[:], r.bytes(len(d)))
	return d
}

// maxTexts bounds how many objects, and images, an index speaks of.
const maxTexts = 1 << 12

func (r *indexReader) texts() (all []string) {
	for range r.count(2) {
		size := r.number()
		if r.err == nil && (size == 0 || size > 255 || len(all) == maxTexts) {
			r.err = fmt.Errorf("%w: an index with a name of %d bytes, or too many", ErrCorrupt, size)
		}
		if r.err != nil {
			return nil
		}
		all = append(all, string(r.bytes(int(size))))
	}
	return all
}

func (r *indexReader) segment(names, images []string) Segment {
	s := Segment{Digest: r.digest()}
	count := r.bytes(1)
	if r.err != nil {
		return s
	}
	for range count[0] {
		p := r.part(names, images)
		if r.err != nil {
			return s
		}
		if p.Way == "" {
			r.skipped++
			continue
		}
		if s.Parts == nil {
			s.Parts = make([]Part, 0, min(count[0], maxParts))
		}
		s.Parts = append(s.Parts, p)
	}
	return s
}

// part reads a part, without a Way if that is not known.
func (r *indexReader) part(names, images []string) (p Part) {
	way := r.bytes(1)
	object := r.number()
	if r.err == nil && object >= int64(len(names)) {
		r.err = fmt.Errorf("%w: an index with an unknown object", ErrCorrupt)
	}
	if r.err != nil {
		return p
	}
	p = Part{Object: names[object], Offset: r.number(), Size: r.number()}
	if int(way[0]) < len(ways) {
		p.Way = ways[way[0]]
	}
	if p.Way == WayPatch || way[0] >= windowed {
		p.Base, p.BaseSize = r.number(), r.number()
		image := r.number()
		if r.err == nil && (image >= int64(len(images)) || len(images[image]) != len(p.From)) {
			r.err = fmt.Errorf("%w: an index with an unknown image", ErrCorrupt)
		}
		if r.err == nil {
			copy(p.From[:], images[image])
		}
	}
	p.Digest = r.digest()
	return p
}
