package tree

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"strings"
)

// Limits of what an object may say, so that one from outside takes no more
// memory than it accounts for.
const (
	maxName  = 1024 // bytes of a name
	maxLink  = 4096 // bytes of the target of a link
	maxPerms = 0o777
)

// Pages of large folders have so many entries: where one ends depends on names
// alone, so that a change leaves all but a page or two as they are.
const (
	minPage     = 256
	averagePage = 1024 // beyond minPage
	maxPage     = 4096
)

// node is an object: entries, or pages of entries.
type node struct {
	entries []Entry
	pages   []page
}

// page is an object with entries, of which it names the first.
type page struct {
	first string
	id    ID
}

// The first byte of an object says what it has.
const (
	formEntries = 1
	formPages   = 2
)

// ValidName reports whether an entry may have a name: 1 to 1,024 bytes without a
// slash and without a zero byte, which is neither "." nor "..".
func ValidName(name string) bool {
	return name != "" && len(name) <= maxName && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// pageLength is how many of the entries are the next page.
func pageLength(entries []Entry) int {
	if len(entries) <= minPage {
		return len(entries)
	}
	end := min(len(entries), maxPage)
	for i := minPage; i < end; i++ {
		h := fnv.New64a()
		h.Write([]byte(entries[i].Name))
		if h.Sum64()>>32%averagePage == 0 {
			return i // which begins the next one
		}
	}
	return end
}

func (t Trees) node(ctx context.Context, id ID) (node, error) {
	object, err := t.Objects.Get(ctx, id)
	if err != nil {
		return node{}, err
	}
	return decode(object)
}

// encode writes a node in its one form: numbers as varints, texts and lists
// with their length before them.
func encode(n node) []byte {
	if len(n.pages) > 0 {
		b := binary.AppendUvarint([]byte{formPages}, uint64(len(n.pages)))
		for _, p := range n.pages {
			b = append(appendText(b, p.first), p.id[:]...)
		}
		return b
	}
	b := binary.AppendUvarint([]byte{formEntries}, uint64(len(n.entries)))
	for _, e := range n.entries {
		b = append(appendText(b, e.Name), byte(e.Kind))
		b = binary.AppendUvarint(b, uint64(e.Mode))
		switch e.Kind {
		case Folder:
			b = append(b, e.Folder[:]...)
		case Link:
			b = appendText(b, e.Link)
		default:
			b = binary.AppendUvarint(b, uint64(e.Size))
			b = binary.AppendVarint(b, e.Time)
			b = binary.AppendUvarint(b, uint64(len(e.Chunks)))
			for _, id := range e.Chunks {
				b = append(b, id[:]...)
			}
		}
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// decode reads what encode has written, and nothing else.
func decode(object []byte) (node, error) {
	r := reader{rest: object}
	var n node
	switch r.byte() {
	case formPages:
		n.pages = r.pages()
	case formEntries:
		n.entries = r.entries()
	default:
		r.bad = true
	}
	if r.bad || len(r.rest) > 0 {
		return node{}, ErrCorrupt
	}
	return n, nil
}

// reader takes an object apart. Once something is bad, all that follows is zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) pages() (all []page) {
	n := r.count(1 + len(ID{}))
	r.bad = r.bad || n < 2
	for range n {
		p := page{first: r.name(), id: r.id()}
		r.bad = r.bad || len(all) > 0 && all[len(all)-1].first >= p.first
		if r.bad {
			return nil
		}
		all = append(all, p)
	}
	return all
}

func (r *reader) entries() (all []Entry) {
	const least = 5 // bytes of an entry
	n := r.count(least)
	r.bad = r.bad || n == 0
	for range n {
		e := r.entry()
		r.bad = r.bad || len(all) > 0 && all[len(all)-1].Name >= e.Name
		if r.bad {
			return nil
		}
		all = append(all, e)
	}
	return all
}

func (r *reader) entry() Entry {
	e := Entry{Name: r.name(), Kind: Kind(r.byte()), Mode: uint32(r.number(maxPerms))}
	switch e.Kind {
	case Folder:
		e.Folder = r.id()
	case Link:
		e.Link = r.text(maxLink)
		r.bad = r.bad || e.Link == "" || strings.Contains(e.Link, "\x00")
	case File:
		e.Size = int64(r.number(1<<63 - 1))
		e.Time = r.signed()
		for range r.count(len(ID{})) {
			e.Chunks = append(e.Chunks, r.id())
		}
		r.bad = r.bad || (e.Size == 0) != (len(e.Chunks) == 0)
	default:
		r.bad = true
	}
	return e
}

// count reads how many follow, each of which has so many bytes at least.
func (r *reader) count(least int) int { return int(r.number(uint64(len(r.rest) / least))) }

func (r *reader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 || v > most || n > 1 && r.rest[n-1] == 0 { // in more bytes than it needs
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) signed() int64 {
	v := r.number(1<<64 - 1)
	n := int64(v >> 1)
	if v&1 != 0 {
		n = ^n
	}
	return n
}

func (r *reader) name() string {
	name := r.text(maxName)
	r.bad = r.bad || !ValidName(name)
	return name
}

func (r *reader) text(most uint64) string { return string(r.take(int(r.number(most)))) }

func (r *reader) id() (id ID) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

// IsObject reports whether a content is an object.
func IsObject(content []byte) bool {
	_, err := decode(content)
	return err == nil
}

// Pages returns the objects that a large folder is made of, besides its own.
func Pages(object []byte) (ids []ID, err error) {
	n, err := decode(object)
	for _, p := range n.pages {
		ids = append(ids, p.id)
	}
	return ids, err
}

// Below returns the objects that an object refers to: the pages of a folder, or
// the folders in it, but for empty ones.
func Below(object []byte) (ids []ID, err error) {
	n, err := decode(object)
	for _, p := range n.pages {
		ids = append(ids, p.id)
	}
	for _, e := range n.entries {
		if e.Kind == Folder && e.Folder != (ID{}) {
			ids = append(ids, e.Folder)
		}
	}
	return ids, err
}

// Chunks returns the contents of the files in an object.
func Chunks(object []byte) (ids []ID, err error) {
	n, err := decode(object)
	for _, e := range n.entries {
		ids = append(ids, e.Chunks...)
	}
	return ids, err
}
