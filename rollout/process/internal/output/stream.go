package output

import (
	"cmp"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"time"
)

// revision is what there is of a revision.
type revision struct {
	k       *Keeper
	dir     string
	invalid error // why there can be no folder
	users   int   // Logs that are open and reads; guarded by k.mu

	// mu is held while files are read and written, so that no reader is between
	// a copy and its cut. It guards all below, and the Logs.
	mu        sync.Mutex
	scanned   bool
	recovered bool
	streams   []*stream
	losses    map[string]*loss // by stem
}

// loss is what is to be said.
type loss struct {
	bytes int64
	why   string
}

// stream is what a replica printed, in one row of bytes: rotated files, then that
// which is printed to. Positions in it stay as they are when files are rotated.
type stream struct {
	stem  string
	segs  []seg // oldest first
	live  *Log  // nil if it ended
	begin int64 // of the live file
	next  int   // number of a rotated file
}

// seg is a file that nobody prints to.
type seg struct {
	name    fileName
	begin   int64
	size    int64
	written time.Time // when it was last written
}

func (g seg) end() int64 { return g.begin + g.size }

func (s *stream) first() int64 {
	if len(s.segs) > 0 {
		return s.segs[0].begin
	}
	return s.begin
}

func (s *stream) end() int64 {
	end := s.begin
	if n := len(s.segs); n > 0 {
		end = max(end, s.segs[n-1].end())
	}
	if s.live != nil && s.live.kept != nil {
		end = max(end, s.begin+sizeOf(s.live.kept))
	}
	return end
}

// printed reports whether there is anything to be read of it.
func (s *stream) printed() bool {
	return s.end() > s.first() || s.live != nil && s.live.kept == nil
}

// stream returns that of a replica, which may be new.
func (r *revision) stream(replica string) *stream {
	return r.byStem(escape(replica))
}

func (r *revision) byStem(stem string) *stream {
	for _, s := range r.streams {
		if s.stem == stem {
			return s
		}
	}
	s := &stream{stem: stem, next: 1}
	r.streams = append(r.streams, s)
	return s
}

func (r *revision) open() (n int) {
	for _, s := range r.streams {
		if s.live != nil {
			n++
		}
	}
	return n
}

func (r *revision) path(n fileName) string { return path.Join(r.dir, n.String()) }

// scan finds the files of an earlier process.
func (r *revision) scan() (parts []fileName) {
	if r.invalid != nil || r.scanned {
		return nil
	}
	r.scanned = true
	names, infos := r.list()
	for i, n := range names {
		if n.offset >= 0 {
			parts = append(parts, n)
			continue
		}
		s := r.byStem(n.stem)
		if n.number != current {
			s.next = max(s.next, n.number+1)
		}
		s.segs = append(s.segs, seg{name: n, begin: s.end(), size: infos[i].Size(), written: infos[i].ModTime()})
		s.begin = s.end()
	}
	return parts
}

// list returns the regular files of the folder that can be the Keeper's, by
// replica and number.
func (r *revision) list() (names []fileName, infos []fs.FileInfo) {
	entries, _ := fs.ReadDir(r.k.root.FS(), r.dir) // none, as good as
	type found struct {
		name fileName
		info fs.FileInfo
	}
	var all []found
	for _, e := range entries {
		n, ok := parseName(e.Name())
		info, err := e.Info()
		if ok && err == nil && info.Mode().IsRegular() {
			all = append(all, found{n, info})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.name.stem, b.name.stem), cmp.Compare(a.name.number, b.name.number))
	})
	for _, f := range all {
		names, infos = append(names, f.name), append(infos, f.info)
	}
	return names, infos
}

// recover ends the rotation in which an earlier process ended: parts that are in
// the file still are copies, else they have taken its place.
func (r *revision) recover() {
	if r.recovered || r.invalid != nil {
		return
	}
	r.recovered = true
	r.scanned, r.streams = false, nil // nothing was open
	parts := r.scan()
	for _, n := range parts {
		whole := fileName{stem: n.stem, number: n.number, offset: -1}
		if _, err := r.k.root.Lstat(r.path(whole)); err == nil || r.stillInLog(n) {
			_ = r.k.root.Remove(r.path(n))
		} else {
			_ = r.k.root.Rename(r.path(n), r.path(whole))
		}
	}
	if len(parts) > 0 {
		r.scanned, r.streams = false, nil
		r.scan()
	}
}

func (r *revision) stillInLog(n fileName) bool {
	part, err := openRegular(r.k.root, r.path(n), os.O_RDONLY)
	if err != nil {
		return false
	}
	defer part.Close()
	log, err := openRegular(r.k.root, r.path(fileName{stem: n.stem, number: current, offset: -1}), os.O_RDONLY)
	if err != nil {
		return false
	}
	defer log.Close()
	size := sizeOf(part)
	return same(part, io.NewSectionReader(log, n.offset, size))
}

// read reads at pos, or after it where a file is gone. It returns where what it
// has read ends; n is 0 at the end.
func (r *revision) read(s *stream, p []byte, pos int64) (n int, next int64) {
	for _, g := range s.segs {
		if pos >= g.end() {
			continue
		}
		pos = max(pos, g.begin)
		if n = r.readSeg(g, p[:min(int64(len(p)), g.end()-pos)], pos-g.begin); n > 0 {
			return n, pos + int64(n)
		}
		pos = g.end()
	}
	if s.live == nil || s.live.kept == nil {
		return 0, pos
	}
	if pos > s.end() { // somebody else has truncated it
		pos = s.begin
	}
	pos = max(pos, s.begin)
	n, _ = s.live.kept.ReadAt(p, pos-s.begin)
	return n, pos + int64(n)
}

func (r *revision) readSeg(g seg, p []byte, at int64) int {
	f, err := openRegular(r.k.root, r.path(g.name), os.O_RDONLY)
	if err != nil {
		return 0
	}
	defer f.Close()
	n, _ := f.ReadAt(p, at)
	return n
}

// last returns where the last lines of a stream begin, and how many there are,
// up to want.
func (r *revision) last(s *stream, want int) (begin int64, lines int) {
	b := backwards{want: want}
	if s.live != nil && s.live.kept != nil {
		if at, done := b.file(s.live.kept, sizeOf(s.live.kept)); done {
			return s.begin + at, b.lines
		}
	}
	for _, g := range slices.Backward(s.segs) {
		f, err := openRegular(r.k.root, r.path(g.name), os.O_RDONLY)
		if err != nil {
			continue
		}
		at, done := b.file(f, g.size)
		f.Close()
		if done {
			return g.begin + at, b.lines
		}
	}
	return s.first(), b.all()
}
