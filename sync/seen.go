package sync

import (
	"context"
	"encoding/binary"
	"maps"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// seen is what files of a folder looked like when they were read, by name.
type seen map[string]looked

type looked struct {
	size, time int64
	tag        string
	mode       uint32
	chunks     []tree.ID
}

// seenKey is the key of the notes of a folder. It is the beginning of no other, as
// no name has a zero byte.
func seenKey(path string) string { return keyScan + path + "\x00" }

// seen returns what is noted of a folder, encoded.
func (w *work) seen(ctx context.Context, path string) ([]byte, error) {
	key := seenKey(path)
	if len(key) > maxKey {
		return nil, nil
	}
	return w.book.read(ctx, key)
}

// see notes what was seen of a folder, encoded, sooner or later. Nil forgets it.
func (w *work) see(ctx context.Context, path string, text []byte) error {
	key := seenKey(path)
	if w.book.dry || len(key) > maxKey {
		return nil
	}
	if text != nil && w.book.notes[keySeen] == nil {
		w.book.notes[keySeen] = []byte{}
		if err := w.book.later(ctx, Entry{keySeen, []byte{}}); err != nil {
			return err
		}
	}
	return w.book.later(ctx, Entry{key, text})
}

func look(f File, ids []tree.ID) looked {
	return looked{f.Size, f.ModTime.UnixNano(), f.Tag, uint32(f.Mode.Perm()), ids}
}

// same reports whether a file has certainly not been changed since.
func (l looked) same(f File) bool { return !f.Recent && l.equals(f) }

func (l looked) equals(f File) bool {
	return l.size == f.Size && l.time == f.ModTime.UnixNano() && l.tag == f.Tag
}

// seenForm is the first byte of what encode writes.
const seenForm = 1

// encode writes what was seen. Of a folder that had these files and nothing else whole
// is the tree, and else the zero ID.
func (s seen) encode(whole tree.ID) []byte {
	if len(s) == 0 {
		return nil
	}
	b := append([]byte{seenForm}, whole[:]...)
	for _, name := range sortedKeys(s) {
		l := s[name]
		b = appendText(appendText(b, name), l.tag)
		b = binary.AppendVarint(b, l.size)
		b = binary.AppendVarint(b, l.time)
		b = binary.AppendVarint(b, int64(l.mode))
		b = binary.AppendVarint(b, int64(len(l.chunks)))
		for _, id := range l.chunks {
			b = append(b, id[:]...)
		}
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendVarint(b, int64(len(text))), text...)
}

// placing is a folder in which files are placed, and what they look like.
type placing struct {
	folder string
	seen   seen
}

// placed notes what a file looks like that was placed, if an edit since would
// certainly show: it would have another time.
func (w *work) placed(ctx context.Context, f File, e *tree.Entry) error {
	if e.Kind != tree.File || f.Size != e.Size || !f.ModTime.Before(w.caps.Now) {
		return nil
	}
	folder, name := split(f.Path)
	isAbove := func(other string) bool {
		return other == "" || other == folder || strings.HasPrefix(folder, other+"/")
	}
	if err := w.seePlaced(ctx, isAbove); err != nil {
		return err
	}
	if n := len(w.placings); n == 0 || w.placings[n-1].folder != folder {
		w.placings = append(w.placings, placing{folder, make(seen)})
	}
	w.placings[len(w.placings)-1].seen[name] = look(f, e.Chunks)
	return nil
}

// seePlaced notes what was placed, up to a folder that stays: nothing is placed in
// those below it any more.
func (w *work) seePlaced(ctx context.Context, stays func(folder string) bool) error {
	for n := len(w.placings) - 1; n >= 0 && !stays(w.placings[n].folder); n-- {
		p := w.placings[n]
		note, err := w.seen(ctx, p.folder)
		if err != nil {
			return err
		}
		all := openSeen(note)
		maps.Copy(all, p.seen)
		if err := w.see(ctx, p.folder, all.encode(tree.ID{})); err != nil {
			return err
		}
		w.placings = w.placings[:n]
	}
	return nil
}

// openSeen reads what encode has written. What cannot be read is as if it had
// never been seen.
func openSeen(b []byte) seen {
	all := make(seen)
	_, r := openNote(b)
	for r.more() {
		name, l := string(r.text()), looked{}
		l.tag, l.size, l.time, l.mode = string(r.text()), r.number(), r.number(), uint32(r.number())
		chunks := r.take(r.number() * int64(len(tree.ID{})))
		for ; len(chunks) > 0; chunks = chunks[len(tree.ID{}):] {
			l.chunks = append(l.chunks, tree.ID(chunks))
		}
		if !r.bad {
			all[name] = l
		}
	}
	return all
}

// untouchedSince reports whether a note is of the tree of a folder, which has just these
// files, and none of them has been changed since.
func untouchedSince(note []byte, folder tree.ID, files []File) bool {
	whole, r := openNote(note)
	if whole != folder || whole == (tree.ID{}) {
		return false
	}
	for _, f := range files {
		_, name := split(f.Path)
		same := f.Mode.IsRegular() && !f.Recent && string(r.text()) == name && string(r.text()) == f.Tag &&
			r.number() == f.Size && r.number() == f.ModTime.UnixNano() && r.number() == int64(f.Mode.Perm())
		if r.take(r.number() * int64(len(tree.ID{}))); !same || r.bad {
			return false
		}
	}
	return !r.more() && !r.bad
}

// noteReader takes a note apart. Once something is bad, all that follows is nothing.
type noteReader struct {
	rest []byte
	bad  bool
}

func openNote(note []byte) (whole tree.ID, r *noteReader) {
	if len(note) < 1+len(whole) || note[0] != seenForm {
		return whole, &noteReader{}
	}
	return tree.ID(note[1:]), &noteReader{rest: note[1+len(whole):]}
}

func (r *noteReader) more() bool { return !r.bad && len(r.rest) > 0 }

func (r *noteReader) number() int64 {
	n, used := binary.Varint(r.rest)
	if r.bad = r.bad || used <= 0; r.bad {
		return 0
	}
	r.rest = r.rest[used:]
	return n
}

func (r *noteReader) text() []byte { return r.take(r.number()) }

func (r *noteReader) take(n int64) []byte {
	if r.bad = r.bad || n < 0 || n > int64(len(r.rest)); r.bad {
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}
