package sync

import (
	"encoding/binary"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// seen is what files of a folder looked like when they were read, by name.
type seen map[string]looked

type looked struct {
	size, time int64
	tag        string
	chunks     []tree.ID
}

func look(f File, ids []tree.ID) looked {
	return looked{f.Size, f.ModTime.UnixNano(), f.Tag, ids}
}

// same reports whether a file has certainly not been changed since.
func (l looked) same(f File) bool { return !f.Recent && l.equals(f) }

func (l looked) equals(f File) bool {
	return l.size == f.Size && l.time == f.ModTime.UnixNano() && l.tag == f.Tag
}

func (s seen) encode() []byte {
	if len(s) == 0 {
		return nil
	}
	var b []byte
	for _, name := range sortedKeys(s) {
		l := s[name]
		b = appendText(appendText(b, name), l.tag)
		b = binary.AppendVarint(b, l.size)
		b = binary.AppendVarint(b, l.time)
		b = binary.AppendUvarint(b, uint64(len(l.chunks)))
		for _, id := range l.chunks {
			b = append(b, id[:]...)
		}
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// openSeen reads what encode has written. What cannot be read is as if it had
// never been seen.
func openSeen(b []byte) seen {
	all := make(seen)
	text := func() string {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			b = nil
			return ""
		}
		t := string(b[used : used+int(n)])
		b = b[used+int(n):]
		return t
	}
	number := func() int64 {
		n, used := binary.Varint(b)
		if used <= 0 {
			b = nil
			return 0
		}
		b = b[used:]
		return n
	}
	for len(b) > 0 {
		name, l := text(), looked{}
		l.tag, l.size, l.time = text(), number(), number()
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used)/uint64(len(tree.ID{})) {
			return all
		}
		b = b[used:]
		for range n {
			l.chunks = append(l.chunks, tree.ID(b[:len(tree.ID{})]))
			b = b[len(tree.ID{}):]
		}
		all[name] = l
	}
	return all
}
