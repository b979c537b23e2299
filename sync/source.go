package sync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// What is read of a pack at once: contents that are near to each other, so that
// many small files are one request, and little is read that nobody wants.
const (
	maxRange = packSize // bytes
	maxGap   = 64 << 10 // bytes between two contents
	maxAhead = 32 << 20 // bytes that are read before they are needed
)

// sources are where the contents come from that are to be placed: files that are
// replaced or deleted, or else the remote.
type sources struct {
	w      *work
	paths  map[tree.ID]string // of files with this one chunk
	ranges map[tree.ID]*span
	order  []*span // as they will be needed
	read   *span   // the one whose contents are taken

	next  int    // in order: all before have been begun
	ahead int    // bytes of what was begun, and not taken yet
	spare []byte // of a span that was taken
	begun sync.WaitGroup

	content []byte // the last one, until the next is asked for
}

// span is a part of a pack.
type span struct {
	pack        packed
	offset, end int64
	blobs       map[tree.ID]Blob

	got   chan struct{} // closed once bytes or err is there; nil if it was not begun
	bytes []byte
	err   error
}

func (s *span) size() int { return int(s.end - s.offset) }

// wanted is a content that is read from the remote.
type wanted struct {
	pack packed
	blob Blob
}

// newSources prepares the contents of some changes, and sorts those as their
// contents are in the packs.
func newSources(w *work, all []tree.Change) (*sources, []tree.Change) {
	paths := make(map[tree.ID]string)
	for _, c := range all {
		w.offers(paths, c)
	}
	return sourcesOf(w, paths, all)
}

// sourcesOf are those of changes of which it is known what files have.
func sourcesOf(w *work, paths map[tree.ID]string, all []tree.Change) (*sources, []tree.Change) {
	s := &sources{w: w, paths: paths, ranges: make(map[tree.ID]*span)}
	var blobs []wanted
	for _, c := range all {
		if c.New == nil {
			continue
		}
		taken := kept(c)
		for i, id := range c.New.Chunks {
			if _, here := s.paths[id]; here || taken[i] {
				continue
			}
			if pack, b, ok := w.forest.live.find(id); ok {
				blobs = append(blobs, wanted{pack, b})
			}
		}
	}
	return s, sorted(all, s.join(blobs))
}

// offers notes what contents there are in a file that is replaced or deleted: that of
// a small one, and chunks of a larger one that are nowhere else. A file is read anew
// for each of them.
func (w *work) offers(paths map[tree.ID]string, c tree.Change) {
	if c.Old == nil {
		return
	}
	for _, id := range c.Old.Chunks {
		if len(c.Old.Chunks) > 1 {
			if _, _, ok := w.forest.live.find(id); ok {
				continue
			}
		}
		paths[id] = c.Path
	}
}

// join makes spans of contents that are near to each other, and returns the place
// of each. The packs come in the order in which they are needed: a file that began
// in one goes on in the next.
func (s *sources) join(blobs []wanted) map[tree.ID]int {
	packs := make(map[string]int)
	for _, b := range blobs {
		if _, known := packs[b.pack.name]; !known {
			packs[b.pack.name] = len(packs)
		}
	}
	slices.SortFunc(blobs, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(packs[a.pack.name], packs[b.pack.name]), cmp.Compare(a.blob.Offset, b.blob.Offset))
	})
	place := make(map[tree.ID]int)
	var last *span
	for i, b := range blobs {
		end := b.blob.Offset + int64(b.blob.Length)
		if last == nil || last.pack.name != b.pack.name || b.blob.Offset-last.end > maxGap || end-last.offset > maxRange {
			last = &span{pack: b.pack, offset: b.blob.Offset, blobs: make(map[tree.ID]Blob)}
			s.order = append(s.order, last)
		}
		last.end, last.blobs[b.blob.ID] = end, b.blob
		s.ranges[b.blob.ID], place[b.blob.ID] = last, i
	}
	return place
}

// sorted are changes in the order of their first contents: those that need none
// come first.
func sorted(all []tree.Change, place map[tree.ID]int) []tree.Change {
	at := func(c tree.Change) int {
		if c.New == nil || len(c.New.Chunks) == 0 {
			return -1
		}
		if n, ok := place[c.New.Chunks[0]]; ok {
			return n
		}
		return -1
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b tree.Change) int { return cmp.Compare(at(a), at(b)) })
	return all
}

// open returns the content of a file, which is read as it is asked for, and before
// another one is.
func (s *sources) open(ctx context.Context, c tree.Change) *assembly {
	return &assembly{ctx: ctx, s: s, path: c.Path, chunks: c.New.Chunks, kept: kept(c)}
}

// assembly reads chunks, one after the other. Who has it closes it.
type assembly struct {
	ctx    context.Context
	s      *sources
	path   string
	chunks []tree.ID // that are still to come
	at     int       // the place of the first of them
	kept   map[int]bool
	old    *replaced
	rest   []byte
}

// Read implements io.Reader.
func (a *assembly) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if len(a.chunks) == 0 {
			return 0, io.EOF
		}
		content, err := a.content()
		if err != nil {
			return 0, err
		}
		a.rest = content
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// chunk returns a content, which is valid until the next is asked for.
func (s *sources) chunk(ctx context.Context, id tree.ID) ([]byte, error) {
	if path, ok := s.paths[id]; ok {
		var content []byte
		err := s.w.chunks(ctx, path, func(found tree.ID, chunk []byte) error {
			if found == id {
				content = bytes.Clone(chunk)
			}
			return nil
		})
		if err == nil && content != nil {
			return content, nil
		}
	}
	in := s.ranges[id]
	if in == nil {
		return s.w.r.blob(ctx, s.w.forest.live, id)
	}
	if err := s.load(ctx, in); err != nil {
		return nil, err
	}
	b := in.blobs[id]
	at := b.Offset - in.offset
	content, err := s.w.r.seal.OpenBlob(s.content[:0], in.pack.header, b, in.bytes[at:at+int64(b.Length)])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.pack.name, err)
	}
	s.content = content
	return content, nil
}

// load has a part of a pack in memory, in the place of the one before. What is
// needed next is read meanwhile.
func (s *sources) load(ctx context.Context, in *span) error {
	if s.read == in {
		return nil
	}
	if s.read != nil {
		s.spare, s.read.bytes, s.read.got = s.read.bytes, nil, nil
		s.read = nil
	}
	if in.got == nil {
		s.begin(ctx, in)
	}
	for s.w.r.most > 1 && s.next < len(s.order) {
		next := s.order[s.next]
		if next.got == nil && s.ahead+next.size() > maxAhead {
			break
		}
		if s.next++; next.got == nil {
			s.begin(ctx, next)
		}
	}
	<-in.got
	s.ahead -= in.size()
	if in.err != nil {
		return fmt.Errorf("%s: %w", in.pack.name, in.err)
	}
	s.read = in
	return nil
}

// begin reads a part of a pack. Wait waits for it.
func (s *sources) begin(ctx context.Context, in *span) {
	in.got, in.bytes, in.err = make(chan struct{}), s.spare, nil
	s.ahead, s.spare = s.ahead+in.size(), nil
	s.begun.Go(func() {
		defer close(in.got)
		if cap(in.bytes) < in.size() {
			in.bytes = make([]byte, in.size())
		}
		in.bytes = in.bytes[:in.size()]
		in.err = s.w.r.again(ctx, func() error {
			body, err := s.w.r.Get(ctx, in.pack.name, in.offset, int64(in.size()))
			if err != nil {
				return err
			}
			_, err = io.ReadFull(body, in.bytes)
			return errors.Join(err, body.Close())
		})
	})
}
