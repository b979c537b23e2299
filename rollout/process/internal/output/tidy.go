package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
)

// rounds is how often what is printed while it is copied is copied too.
const rounds = 16

// noteSize is about what a note of a loss takes.
const noteSize = 200

// limit is the most that a file that is printed to may take: all of them at most
// a third of what there is.
func (r *revision) limit() int64 {
	return max(1, min(r.k.size, r.k.total/int64(3*max(1, r.open()))))
}

// rotatable is the most that the others may take: what is left when those have
// grown to their limits, and some for notes.
func (r *revision) rotatable() int64 {
	n := r.k.total
	for _, s := range r.streams {
		if s.live == nil {
			continue
		}
		if n -= r.limit(); s.live.detached() {
			n -= r.limit() / 2
		}
	}
	return max(0, n-min(n/4, noteSize*int64(1+r.open())))
}

func (r *revision) rotated() (n int64) {
	for _, s := range r.streams {
		for _, g := range s.segs {
			n += g.size
		}
	}
	return n
}

// used is what all files take, those that were deleted and are printed to too.
func (r *revision) used() int64 {
	n := r.rotated()
	for _, s := range r.streams {
		if l := s.live; l != nil {
			for _, f := range l.files() {
				n += sizeOf(f)
			}
		}
	}
	return n
}

// files are those that have output.
func (l *Log) files() (all []*os.File) {
	if l.kept != nil {
		all = append(all, l.kept)
	}
	if l.detached() {
		all = append(all, l.file)
	}
	return all
}

// tidy is Tidy of a revision.
func (r *revision) tidy() {
	for _, s := range r.streams {
		if s.live != nil {
			s.live.follow()
			s.live.carry()
		}
	}
	for _, s := range r.streams {
		if s.live != nil && s.live.kept != nil {
			r.rotate(s, s.live.kept, s.live.kept == s.live.file)
		} else if s.live == nil {
			r.trim(s)
		}
	}
	r.bound()
	r.say()
}

// follow sees to it that the file that is kept is the one at the path.
func (l *Log) follow() {
	r, name := l.rev, l.rev.path(l.name())
	switch {
	case l.kept == nil:
		why := l.why
		if l.keep(); l.kept != nil {
			l.file, l.spare = l.kept, l.file
			l.note("what is printed until the replica is started anew is lost: " + why)
		}
	case r.invalid != nil || isAt(r.k.root, name, l.kept):
	default:
		// What took its place is no log, at best an older copy of this one.
		err := r.k.root.Remove(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = l.move()
		}
		if l.why = ""; err != nil {
			l.why = err.Error()
		}
	}
}

// move copies what was kept into a new file at the path.
func (l *Log) move() error {
	r, old := l.rev, l.kept
	f, err := createFile(r.k.root, l.Path())
	if err != nil {
		return err
	}
	from := lineBegin(old, max(0, sizeOf(old)-r.limit()))
	end, err := copyAll(f, old, from)
	if err != nil {
		_ = r.k.root.Remove(l.Path())
		f.Close()
		return err
	}
	l.kept = f
	l.stream.begin += from
	r.lose(l.stream, from, because(nil))
	if old != l.file {
		return old.Close()
	}
	l.carried = end
	l.note("the log was deleted or replaced, and goes on here")
	return nil
}

// copyAll appends what is in a file from a place on, while it grows, and until it
// ends with a line: what is written at a time may be seen in two pieces. It
// returns where it has come to.
func copyAll(to, from *os.File, begin int64) (end int64, err error) {
	for range rounds {
		if end = sizeOf(from); end > begin {
			if err := copyRange(to, from, begin, end); err != nil {
				return begin, err
			}
			begin = end
			continue
		}
		var last [1]byte
		if _, err := from.ReadAt(last[:], begin-1); begin == 0 || err != nil || last[0] == '\n' {
			break
		}
		runtime.Gosched()
	}
	return begin, nil
}

// detached reports whether the process prints to a file that was deleted.
func (l *Log) detached() bool {
	return l.file != nil && l.kept != nil && l.file != l.kept && isRegular(l.file)
}

// carry takes over what was printed into a file that was deleted, and cuts that
// file when it is large, or when nobody knows what had been taken over.
func (l *Log) carry() {
	if !l.detached() {
		return
	}
	r, limit, size := l.rev, l.rev.limit(), sizeOf(l.file)
	if size < l.carried {
		l.carried = 0
	}
	at := sizeOf(l.kept)
	from := l.carried
	if size-limit > from {
		from = min(size, lineBegin(l.file, size-limit))
	}
	end, err := copyAll(l.kept, l.file, from)
	if err != nil {
		_ = l.kept.Truncate(at)
		if size > limit/2 && l.file.Truncate(0) == nil {
			r.lose(l.stream, size-l.carried, err.Error())
			l.carried = 0
		}
		return
	}
	r.lose(l.stream, from-l.carried, because(nil))
	l.carried = end
	l.cutCarried(limit / 2)
}

func (l *Log) cutCarried(limit int64) {
	if n := (l.carried - 1) / cutUnit * cutUnit; n > 0 && !l.unknown && collapse(l.file, n) == nil {
		l.carried -= n
	}
	if l.carried > limit || l.unknown && l.carried > 0 {
		if l.file.Truncate(0) == nil {
			l.carried = 0
			l.note(instant)
		}
	}
	l.unknown = false
}

// instant is what cannot be known of a file that is cut as a whole.
const instant = "the log was cut: a line printed in that instant may be lost"

func because(err error) string {
	if err == nil {
		return "more was printed than is kept"
	}
	return err.Error()
}

func (r *revision) lose(s *stream, n int64, why string) {
	if n <= 0 {
		return
	}
	l := r.losses[s.stem]
	if l == nil {
		l = &loss{}
		r.losses[s.stem] = l
	}
	l.bytes += n
	l.why = why
}

// bound holds all files to what they may take together.
func (r *revision) bound() {
	for r.rotated() > r.rotatable() && r.evict() {
	}
	for r.used()+r.unwritten() > r.k.total && r.evict() {
	}
	for r.used() > r.k.total && r.empty() {
	}
}

// unwritten is what notes will take.
func (r *revision) unwritten() int64 {
	n := noteSize * int64(len(r.losses))
	for _, s := range r.streams {
		if s.live != nil {
			n += int64(len(s.live.notes))
		}
	}
	return n
}

// evict deletes the oldest file that nobody prints to.
func (r *revision) evict() bool {
	var oldest *stream
	for _, s := range r.streams {
		if len(s.segs) == 0 {
			continue
		}
		if oldest == nil || s.segs[0].written.Before(oldest.segs[0].written) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	g := oldest.segs[0]
	if err := r.k.root.Remove(r.path(g.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f, err := openRegular(r.k.root, r.path(g.name), os.O_RDWR)
		if err != nil {
			return false
		}
		defer f.Close()
		if f.Truncate(0) != nil {
			return false
		}
	}
	oldest.segs = slices.Clone(oldest.segs[1:])
	r.lose(oldest, g.size, "the oldest was deleted to make room")
	return true
}

// empty truncates the largest file that is printed to.
func (r *revision) empty() bool {
	var of *stream
	var largest *os.File
	size := int64(0)
	for _, s := range r.streams {
		if s.live == nil {
			continue
		}
		for _, f := range s.live.files() {
			if n := sizeOf(f); n > size {
				of, largest, size = s, f, n
			}
		}
	}
	if largest == nil || largest.Truncate(0) != nil {
		return false
	}
	if largest == of.live.kept {
		of.begin += size
	}
	r.lose(of, size, "there was no room")
	return true
}

// say notes what was lost, in the log of the replica, or where there is none any
// more in another one.
func (r *revision) say() {
	for _, s := range r.streams {
		lost := r.losses[s.stem]
		if lost == nil {
			continue
		}
		l, text := s.live, lost.String()
		if l == nil {
			l, text = r.anyLog(), fmt.Sprintf("of %s, %s", unescape(s.stem), text)
		}
		if l != nil && l.kept != nil && len(l.notes)+len(text) < mostNotes/2 {
			l.note(text)
			delete(r.losses, s.stem)
		}
	}
	for _, s := range r.streams {
		if l := s.live; l != nil && len(l.notes) > 0 && r.used()+int64(len(l.notes))+1 <= r.k.total {
			l.write()
		}
	}
}

func (r *revision) anyLog() *Log {
	for _, s := range r.streams {
		if s.live != nil && s.live.kept != nil {
			return s.live
		}
	}
	return nil
}

// trim rotates the file of a replica that has ended, if it is too large: nobody
// held it to its limit when it grew.
func (r *revision) trim(s *stream) {
	n := len(s.segs)
	if n == 0 || s.segs[n-1].name.number != current || s.segs[n-1].size <= r.k.size {
		return
	}
	g := s.segs[n-1]
	f, err := openRegular(r.k.root, r.path(g.name), appending)
	if err != nil {
		return
	}
	defer f.Close()
	s.segs, s.begin = s.segs[:n-1], g.begin
	r.rotate(s, f, false)
	if g.size = sizeOf(f); g.size == 0 {
		_ = r.k.root.Remove(r.path(g.name))
		return
	}
	g.begin = s.begin
	s.segs = append(s.segs, g)
	s.begin = g.end()
}
