package sync

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// Repair commits that what Verify finds is gone: the indexes of that commit lack
// it. Any device that still has such contents sends them again with its next sync,
// and until then what cannot be read is an ErrCorrupt.
//
// A newest head that is damaged itself is an ErrCorrupt, and stays: to go back to
// the one before would lose a commit that others may have read, and no name is put
// twice. That object has to come from a copy of the remote.
func (e *engine) Repair(ctx context.Context, by By) (engineResult, error) {
	w, err := e.begin(ctx, Request{By: by})
	if err != nil {
		return engineResult{}, err
	}
	if err := w.look(ctx); err != nil {
		return engineResult{}, err
	}
	err = w.onNewest(ctx, func() error { return w.repair(ctx) })
	w.result.Commit = w.known.id
	return w.result, err
}

func (w *work) repair(ctx context.Context) error {
	c, err := w.examined(ctx, DepthContents)
	if err != nil {
		return err
	}
	real, lost := false, false
	for name, d := range c.bad {
		real = real || !strings.HasPrefix(name, lacking)
		lost = lost || len(d.Paths) > 0
	}
	if !real && (w.head.Lost || !lost) {
		return nil // it was said before
	}
	next, err := w.next(ctx, w.head)
	if err != nil {
		return err
	}
	next.Older = slices.DeleteFunc(slices.Clone(next.Older), func(o chapter) bool { return c.bad[o.Name] != nil })
	next.Lost = next.Lost || lost
	all := new(index)
	for _, x := range c.live.all {
		all.join(x.but(c.lost))
	}
	if next.Index, err = w.r.putIndex(ctx, all); err != nil {
		return err
	}
	err = w.record(ctx, next)
	w.result.Committed = err == nil
	return err
}

// but is the index without some contents, and without packs of which nothing is
// left.
func (x *index) but(lost map[tree.ID]string) *index {
	rest := &index{packs: x.packs}
	empty := make(map[string]bool)
	for _, p := range x.packs {
		empty[p.name] = true
	}
	for _, b := range x.blobs {
		if _, gone := lost[b.id]; !gone {
			rest.blobs = append(rest.blobs, b)
			empty[x.packs[b.pack].name] = false
		}
	}
	if rest = rest.without(empty); rest == nil {
		return new(index)
	}
	return rest
}

// heal sends what is lost of a tree and is here. It reports whether there is any,
// which a commit has to tell. Contents of files the scan has sent.
func (w *work) heal(ctx context.Context, u *upload, root tree.ID) (heals bool, err error) {
	if w.whole = true; !w.head.Lost {
		return false, nil
	}
	if err := u.live.read(ctx); err != nil {
		return false, err
	}
	look := func(id tree.ID) {
		_, _, there := u.live.find(id)
		w.whole = w.whole && u.has(id)
		heals = heals || !there && u.has(id)
	}
	miss := func(id tree.ID, err error) error {
		if w.whole = false; errors.Is(err, errLost) {
			return nil
		}
		return err
	}
	seen := make(map[tree.ID]bool)
	err = w.forest.walkPast(ctx, root, miss, func(id tree.ID, object []byte) (bool, error) {
		if seen[id] {
			return false, nil
		}
		seen[id] = true
		if err := u.add(ctx, id, object); err != nil {
			return false, err
		}
		look(id)
		chunks, err := tree.Chunks(object)
		for _, chunk := range chunks {
			look(chunk)
		}
		return true, err
	})
	return heals, err
}
