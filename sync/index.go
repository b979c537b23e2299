package sync

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
)

// index says where contents are: those of some packs. It is immutable.
type index struct {
	packs []packed
	blobs []located // by ID
}

// packed is a pack that an index tells of.
type packed struct {
	name   string // of the object
	header [32]byte
	size   int64 // bytes
}

// located is a content, and where it is.
type located struct {
	id     [32]byte
	pack   uint32 // its place in packs
	offset uint32
	length uint32
	size   uint32
}

const (
	maxPart     = 2 << 20  // bytes of an index that is put, before it is sealed
	maxIndex    = 32 << 20 // bytes of one that is read: a FolderStore takes it
	maxPack     = 64 << 20
	packNameLen = 32 // digits
	packLength  = packNameLen + 32 + 4
	blobLength  = 32 + 4*4
)

// add enters a pack. Blobs that the index has already stay where they are.
func (x *index) add(p packed, blobs []Blob) {
	n := uint32(len(x.packs))
	x.packs = append(x.packs, p)
	x.blobs = slices.Grow(x.blobs, len(blobs))
	for _, b := range blobs {
		x.blobs = append(x.blobs, located{b.ID, n, uint32(b.Offset), uint32(b.Length), uint32(b.Size)})
	}
	x.sort()
}

// join enters all packs of other indexes.
func (x *index) join(others ...*index) {
	more := 0
	for _, other := range others {
		more += len(other.blobs)
	}
	x.blobs = slices.Grow(x.blobs, more)
	for _, other := range others {
		first := uint32(len(x.packs))
		x.packs = append(x.packs, other.packs...)
		for _, l := range other.blobs {
			l.pack += first
			x.blobs = append(x.blobs, l)
		}
	}
	x.sort()
}

// sort keeps of each content the place that was entered first.
func (x *index) sort() {
	slices.SortFunc(x.blobs, func(a, b located) int {
		return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.pack, b.pack), cmp.Compare(a.offset, b.offset))
	})
	x.blobs = slices.CompactFunc(x.blobs, func(a, b located) bool { return a.id == b.id })
}

// find returns where a content is, and its pack.
func (x *index) find(id [32]byte) (p packed, b Blob, ok bool) {
	i, ok := slices.BinarySearchFunc(x.blobs, id, func(l located, id [32]byte) int { return bytes.Compare(l.id[:], id[:]) })
	if !ok {
		return packed{}, Blob{}, false
	}
	return x.packs[x.blobs[i].pack], x.blobs[i].blob(), true
}

func (l located) blob() Blob {
	return Blob{ID: l.id, Offset: int64(l.offset), Length: int(l.length), Size: int(l.size)}
}

// without is the index but for some packs, or nil if there is nothing left.
func (x *index) without(gone map[string]bool) *index {
	var rest index
	places := make(map[uint32]uint32)
	for i, p := range x.packs {
		if !gone[p.name] {
			places[uint32(i)] = uint32(len(rest.packs))
			rest.packs = append(rest.packs, p)
		}
	}
	if len(rest.packs) == 0 {
		return nil
	}
	n := 0
	for _, b := range x.blobs {
		if _, stays := places[b.pack]; stays {
			n++
		}
	}
	rest.blobs = make([]located, 0, n)
	for _, b := range x.blobs {
		if place, stays := places[b.pack]; stays {
			b.pack = place
			rest.blobs = append(rest.blobs, b)
		}
	}
	return &rest
}

// length is how many bytes encode writes, nearly.
func (x *index) length() int { return len(x.packs)*packLength + len(x.blobs)*blobLength }

// inParts yields what some indexes have in parts of so many bytes at most, unless a
// pack alone needs more. One part is in memory at once, besides the indexes.
func inParts(most int, all ...*index) iter.Seq[*index] {
	return func(yield func(*index) bool) {
		of, n := parts(most, all...)
		for i := range n {
			part := new(index)
			var some []*index
			for _, x := range all {
				gone := make(map[string]bool)
				for _, p := range x.packs {
					gone[p.name] = of[p.name] != i
				}
				if x = x.without(gone); x != nil {
					some = append(some, x)
				}
			}
			if part.join(some...); !yield(part) {
				return
			}
		}
	}
}

// parts are in which part each pack is, by its name, and how many there are.
func parts(most int, all ...*index) (of map[string]int, n int) {
	lengths := make(map[string]int)
	for _, x := range all {
		for _, p := range x.packs {
			lengths[p.name] = packLength
		}
		for _, b := range x.blobs {
			lengths[x.packs[b.pack].name] += blobLength
		}
	}
	of = make(map[string]int)
	full := most
	for _, name := range sortedKeys(lengths) {
		if full+lengths[name] > most {
			n, full = n+1, 0
		}
		of[name] = n - 1
		full += lengths[name]
	}
	return of, n
}

// encode writes an index in its one form: numbers of four bytes, big-endian.
func (x *index) encode() []byte {
	b := binary.BigEndian.AppendUint32(append(make([]byte, 0, 5+x.length()), 1), uint32(len(x.packs)))
	for _, p := range x.packs {
		b = append(b, p.name[len(p.name)-packNameLen:]...)
		b = append(b, p.header[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(p.size))
	}
	for _, l := range x.blobs {
		b = append(b, l.id[:]...)
		for _, n := range []uint32{l.pack, l.offset, l.length, l.size} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
	}
	return b
}

// decodeIndex reads what encode has written, and nothing else.
func decodeIndex(b []byte) (*index, error) {
	if len(b) < 5 || b[0] != 1 {
		return nil, ErrCorrupt
	}
	n, rest := binary.BigEndian.Uint32(b[1:]), b[5:]
	if uint64(n) > uint64(len(rest)/packLength) {
		return nil, ErrCorrupt
	}
	x := &index{packs: make([]packed, n)}
	for i := range x.packs {
		p := &x.packs[i]
		p.name = packName(string(rest[:packNameLen]))
		copy(p.header[:], rest[packNameLen:])
		p.size = int64(binary.BigEndian.Uint32(rest[packNameLen+32:]))
		if !isHex(string(rest[:packNameLen])) {
			return nil, ErrCorrupt
		}
		rest = rest[packLength:]
	}
	if len(rest)%blobLength != 0 {
		return nil, ErrCorrupt
	}
	x.blobs = make([]located, len(rest)/blobLength)
	for i := range x.blobs {
		l := &x.blobs[i]
		copy(l.id[:], rest)
		for j, n := range []*uint32{&l.pack, &l.offset, &l.length, &l.size} {
			*n = binary.BigEndian.Uint32(rest[32+4*j:])
		}
		rest = rest[blobLength:]
		sorted := i == 0 || bytes.Compare(x.blobs[i-1].id[:], l.id[:]) < 0
		if !sorted || l.pack >= n || int64(l.offset)+int64(l.length) > x.packs[l.pack].size {
			return nil, ErrCorrupt
		}
	}
	return x, nil
}

// packName is the name of the pack with these digits.
func packName(digits string) string { return packFolder + digits[:2] + "/" + digits }

func isHex(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(b byte) bool { return (b < '0' || b > '9') && (b < 'a' || b > 'f') })
}
