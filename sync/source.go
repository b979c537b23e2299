package sync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// What is read of a pack at once: contents that are near to each other, so that
// many small files are one request, and little is read that nobody wants.
const (
	maxRange = packSize // bytes
	maxGap   = 64 << 10 // bytes between two contents
)

// sources are where the contents come from that are to be placed: files that are
// replaced or deleted, or else the remote.
type sources struct {
	w      *work
	paths  map[tree.ID]string // of files with this one chunk
	ranges map[tree.ID]*span
	read   *span // the one whose bytes are in memory
	bytes  []byte
}

// span is a part of a pack.
type span struct {
	pack        packed
	offset, end int64
	blobs       map[tree.ID]Blob
}

// wanted is a content that is read from the remote.
type wanted struct {
	pack packed
	blob Blob
}

// newSources prepares the contents of some changes, and sorts those as their
// contents are in the packs.
func newSources(w *work, all []tree.Change) (*sources, []tree.Change) {
	s := &sources{w: w, paths: make(map[tree.ID]string), ranges: make(map[tree.ID]*span)}
	for _, c := range all {
		if c.Old != nil && c.Old.Kind == tree.File && len(c.Old.Chunks) == 1 {
			s.paths[c.Old.Chunks[0]] = c.Path
		}
	}
	s.large(all)
	var blobs []wanted
	for _, c := range all {
		if c.New == nil {
			continue
		}
		for _, id := range c.New.Chunks {
			if _, here := s.paths[id]; here {
				continue
			}
			if pack, b, ok := w.forest.live.find(id); ok {
				blobs = append(blobs, wanted{pack, b})
			}
		}
	}
	return s, sorted(all, s.join(blobs))
}

// large finds chunks of larger files that are nowhere else. A file is read anew
// for each of them.
func (s *sources) large(all []tree.Change) {
	for _, c := range all {
		if c.Old == nil {
			continue
		}
		for _, id := range c.Old.Chunks {
			if _, _, ok := s.w.forest.live.find(id); !ok {
				s.paths[id] = c.Path
			}
		}
	}
}

// join makes spans of contents that are near to each other, and returns the place
// of each.
func (s *sources) join(blobs []wanted) map[tree.ID]int {
	slices.SortFunc(blobs, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(a.pack.name, b.pack.name), cmp.Compare(a.blob.Offset, b.blob.Offset))
	})
	place := make(map[tree.ID]int)
	var last *span
	for i, b := range blobs {
		end := b.blob.Offset + int64(b.blob.Length)
		if last == nil || last.pack.name != b.pack.name || b.blob.Offset-last.end > maxGap || end-last.offset > maxRange {
			last = &span{pack: b.pack, offset: b.blob.Offset, blobs: make(map[tree.ID]Blob)}
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

// open returns the content of a file, which is read as it is asked for.
func (s *sources) open(ctx context.Context, e *tree.Entry) io.Reader {
	return &assembly{ctx: ctx, s: s, chunks: e.Chunks}
}

// assembly reads chunks, one after the other.
type assembly struct {
	ctx    context.Context
	s      *sources
	chunks []tree.ID
	rest   []byte
}

// Read implements io.Reader.
func (a *assembly) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if len(a.chunks) == 0 {
			return 0, io.EOF
		}
		content, err := a.s.chunk(a.ctx, a.chunks[0])
		if err != nil {
			return 0, err
		}
		a.rest, a.chunks = content, a.chunks[1:]
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

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
	content, err := s.w.r.seal.OpenBlob(in.pack.header, b, s.bytes[at:at+int64(b.Length)])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.pack.name, err)
	}
	return content, nil
}

// load reads a part of a pack into memory, in the place of the one before.
func (s *sources) load(ctx context.Context, in *span) error {
	if s.read == in {
		return nil
	}
	s.read = nil
	if size := int(in.end - in.offset); cap(s.bytes) < size {
		s.bytes = make([]byte, size)
	} else {
		s.bytes = s.bytes[:size]
	}
	err := s.w.r.again(ctx, func() error {
		body, err := s.w.r.Get(ctx, in.pack.name, in.offset, int64(len(s.bytes)))
		if err != nil {
			return err
		}
		_, err = io.ReadFull(body, s.bytes)
		return errors.Join(err, body.Close())
	})
	if err != nil {
		return fmt.Errorf("%s: %w", in.pack.name, err)
	}
	s.read = in
	return nil
}
