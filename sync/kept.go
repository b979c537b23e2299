package sync

import (
	"context"
	"iter"
	"slices"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// kept are the places in c.New.Chunks of those that the larger file that is replaced
// has too, in the same order: they are taken from it, and only others are sent.
func kept(c tree.Change) map[int]bool {
	if c.Old == nil || c.New == nil || len(c.Old.Chunks) < 2 {
		return nil
	}
	first, next := make(map[tree.ID]int), make([]int, len(c.Old.Chunks)) // of each chunk; -1 is none
	for at, id := range slices.Backward(c.Old.Chunks) {
		later, there := first[id]
		if !there {
			later = -1
		}
		first[id], next[at] = at, later
	}
	kept, from := make(map[int]bool), 0
	for i, id := range c.New.Chunks {
		at, there := first[id]
		for there && at >= 0 && at < from {
			at = next[at]
		}
		if !there {
			continue
		}
		if first[id] = at; at >= 0 {
			kept[i], from = true, at+1
		}
	}
	return kept
}

// replaced is a larger file that is read, from its beginning to its end, while the
// one is written that will be in its place.
type replaced struct {
	next func() (tree.ID, []byte, bool)
	stop func()
}

// openReplaced returns the chunks of a file, each valid until the next is asked for.
// A file that cannot be read has none.
func (s *sources) openReplaced(ctx context.Context, path string) *replaced {
	next, stop := iter.Pull2(func(yield func(tree.ID, []byte) bool) {
		r, err := s.w.Files.Open(ctx, path)
		if err != nil {
			return
		}
		defer r.Close() // nothing was written
		_ = s.w.cutter.Each(ctx, r, func(chunk []byte, _ int64) bool {
			return yield(s.w.Sealer.ID(chunk), chunk)
		})
	})
	return &replaced{next, stop}
}

// find returns a chunk that is still to come, or nil.
func (r *replaced) find(id tree.ID) []byte {
	for {
		switch found, chunk, ok := r.next(); {
		case !ok:
			return nil
		case found == id:
			return chunk
		}
	}
}

// Close implements io.Closer, for an assembly that may not have come to its end.
func (a *assembly) Close() error {
	if a.old != nil {
		a.old.stop()
	}
	return nil
}

// content returns the next chunk of an assembly, which is valid until the one after
// it is asked for.
func (a *assembly) content() ([]byte, error) {
	id, here := a.chunks[0], a.kept[a.at]
	a.chunks, a.at = a.chunks[1:], a.at+1
	if here {
		if a.old == nil {
			a.old = a.s.openReplaced(a.ctx, a.path)
		}
		if chunk := a.old.find(id); chunk != nil {
			return chunk, nil
		}
	}
	return a.s.chunk(a.ctx, id)
}
