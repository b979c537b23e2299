package sync

import (
	"bytes"
	"context"
	"io"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// sources are where contents that are to be placed may be had without the
// remote: the files that are replaced or deleted.
type sources struct {
	w     *work
	paths map[tree.ID]string // of the first chunk of files with one
}

func newSources(w *work, all []tree.Change) *sources {
	s := &sources{w: w, paths: make(map[tree.ID]string)}
	for _, c := range all {
		if c.Old != nil && c.Old.Kind == tree.File && len(c.Old.Chunks) == 1 {
			s.paths[c.Old.Chunks[0]] = c.Path
		}
	}
	return s
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
	return s.w.r.blob(ctx, s.w.forest.live, id)
}
