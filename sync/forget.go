package sync

import (
	"context"
	"fmt"
	"slices"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// choose finds the commits that are kept, and the heads of all others. Ages are by
// the times of heads in the remote's list, which are put in order, and not by
// those in the log, which are what some device has seen.
func (c *compaction) choose(ctx context.Context) error {
	all, err := c.dated(ctx)
	if err != nil {
		return err
	}
	tagged := make(map[string]bool)
	for _, id := range c.head.Tags {
		tagged[id] = true
	}
	if c.kept, err = c.keep.choose(all, tagged); err != nil {
		return err
	}
	c.done.Forgotten = len(all) - len(c.kept)
	c.heads = slices.DeleteFunc(c.heads, func(o Object) bool {
		seq, _ := headSeq(o.Name) // it was read before
		return seq >= c.head.Seq || c.kept[seq]
	})
	return nil
}

// dated lists the commits that are not forgotten, newest first, and reads the
// chapters and the list of heads for that.
func (c *compaction) dated(ctx context.Context) (all []dated, err error) {
	log := append([]entry{c.head.entry(c.put)}, c.head.Log...)
	c.older = nil
	for _, o := range c.head.Older {
		entries, err := c.r.chapter(ctx, o.Name)
		if err != nil {
			return nil, err
		}
		c.older, log = append(c.older, entries), append(log, entries...)
	}
	places := make(map[int64]int)
	for _, e := range log {
		if !e.Forgotten {
			places[e.Seq] = len(all)
			all = append(all, dated{e, e.Time})
		}
	}
	c.heads = nil
	listed := false
	for o, err := range c.r.List(ctx, headFolder, "") {
		if err != nil {
			return nil, err
		}
		seq, err := headSeq(o.Name)
		if err != nil {
			return nil, err
		}
		if i, ok := places[seq]; ok {
			all[i].put = o.Time
		}
		listed = listed || seq == c.head.Seq
		c.heads = append(c.heads, o)
	}
	if !listed {
		return nil, fmt.Errorf("%w: its list lacks commit %d", ErrUnavailable, c.head.Seq)
	}
	return all, nil
}

// roots are the trees of the commits that are kept.
func (c *compaction) roots() (roots []tree.ID) {
	log := append([]entry{c.head.entry(c.put)}, c.head.Log...)
	for _, e := range slices.Concat(log, slices.Concat(c.older...)) {
		if e.Forgotten || !c.kept[e.Seq] {
			continue
		}
		if roots = append(roots, e.Root); e.Shelf != nil {
			roots = append(roots, e.Shelf.Root)
		}
	}
	return roots
}

// rest are the commits of the chapters that are kept. Less is true if those have
// more: other chapters come in their place.
func (c *compaction) rest() (rest []entry, less bool) {
	for _, e := range slices.Concat(c.older...) {
		if c.kept[e.Seq] {
			rest = append(rest, e)
		} else {
			less = true
		}
	}
	return rest, less
}

// shorter is the next head, whose log says what is forgotten.
func (c *compaction) shorter(ctx context.Context) (head, error) {
	h := c.head
	h.Log = slices.Clone(h.Log)
	for i := range h.Log {
		h.Log[i].Forgotten = h.Log[i].Forgotten || !c.kept[h.Log[i].Seq]
		if h.Log[i].Forgotten {
			h.Log[i].Shelf = nil
		}
	}
	if rest, less := c.rest(); less {
		var err error
		if h.Older, err = c.r.putChapters(ctx, rest); err != nil {
			return head{}, err
		}
	}
	return c.next(ctx, h)
}
