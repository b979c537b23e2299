package output

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"time"
)

// cutUnit is what collapse takes out of a file.
const cutUnit = 64 << 10

// parts are copies of a file, which are no part of the stream before they are
// taken out of the file.
type parts struct {
	segs []seg    // begin is in the file
	last *os.File // of segs
}

// rotate moves what is in a file beside it, if it is above its limit. Shared says
// that a process prints to it.
func (r *revision) rotate(s *stream, f *os.File, shared bool) {
	limit, size := r.limit(), sizeOf(f)
	if size <= limit {
		return
	}
	upto := size
	whole := !shared || limit < 2*cutUnit
	if !whole {
		upto = (size - 1) / cutUnit * cutUnit
	}
	from := min(upto, lineBegin(f, max(0, upto-r.rotatable())))
	p, err := r.copyParts(s, f, from, upto)
	if err != nil {
		r.discard(p)
		r.drop(s, f, shared, err)
		return
	}
	if p.last != nil {
		defer p.last.Close()
	}
	if whole || collapse(f, upto) != nil {
		if upto, err = r.cutWhole(s, f, p, upto, shared); err != nil {
			r.discard(p)
			return
		}
	}
	r.lose(s, from, because(nil))
	for _, g := range p.segs {
		name := g.name
		name.offset = -1
		if r.k.root.Rename(r.path(g.name), r.path(name)) == nil {
			g.name = name
		}
		g.begin += s.begin
		s.segs = append(s.segs, g)
		s.next = max(s.next, name.number+1)
	}
	s.begin += upto
}

// cutWhole empties a file after what was printed meanwhile has been copied too.
func (r *revision) cutWhole(s *stream, f *os.File, p parts, upto int64, shared bool) (int64, error) {
	if p.last != nil {
		end, err := copyAll(p.last, f, upto)
		if err != nil {
			r.lose(s, sizeOf(f)-end, err.Error())
		}
		p.segs[len(p.segs)-1].size += end - upto
		upto = end
	}
	if err := f.Truncate(0); err != nil {
		return upto, err
	}
	if shared && s.live != nil {
		s.live.note(instant)
	}
	return upto, nil
}

// copyParts copies a range of a file into files of at most Size bytes, and makes
// room for them.
func (r *revision) copyParts(s *stream, f *os.File, from, upto int64) (p parts, err error) {
	for r.rotated()+upto-from > r.rotatable() && r.evict() {
	}
	for at := from; at < upto; {
		end := min(upto, at+r.k.size)
		g := seg{
			name:  fileName{stem: s.stem, number: s.next + len(p.segs), offset: at},
			begin: at, size: end - at, written: time.Now(),
		}
		part, err := r.copyPart(g, f)
		if errors.Is(err, syscall.ENOSPC) && r.evict() {
			continue
		}
		if err != nil {
			return p, err
		}
		if p.last != nil {
			p.last.Close()
		}
		p.segs, p.last = append(p.segs, g), part
		at = end
	}
	return p, nil
}

func (r *revision) copyPart(g seg, from *os.File) (*os.File, error) {
	part, err := createFile(r.k.root, r.path(g.name))
	if err != nil {
		return nil, err
	}
	if err := copyRange(part, from, g.begin, g.end()); err != nil {
		part.Close()
		return nil, errors.Join(err, r.k.root.Remove(r.path(g.name)))
	}
	return part, nil
}

// discard removes copies of what is in the file still.
func (r *revision) discard(p parts) {
	if p.last != nil {
		p.last.Close()
	}
	for _, g := range slices.Backward(p.segs) {
		_ = r.k.root.Remove(r.path(g.name))
	}
}

// drop holds a file to its limit where nothing can be copied: the older half goes,
// or all of it.
func (r *revision) drop(s *stream, f *os.File, shared bool, why error) {
	size, limit := sizeOf(f), r.limit()
	lost := (size - limit/2) / cutUnit * cutUnit
	if !shared || lost <= 0 || collapse(f, lost) != nil {
		if lost = size; f.Truncate(0) != nil {
			return
		}
	}
	s.begin += lost
	r.lose(s, lost, why.Error())
}
