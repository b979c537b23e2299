package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// maxPaths is how many paths a Damage names.
const maxPaths = 1000

// Verify yields what commits need and is missing or damaged, by name. It changes
// nothing. What is missing because a compaction has deleted it meanwhile is no
// damage: then it looks again.
func (e *engine) Verify(ctx context.Context, depth Depth) iter.Seq2[Damage, error] {
	return func(yield func(Damage, error) bool) {
		var c *examination
		w, err := e.reader(ctx)
		if err == nil && depth != DepthObjects && depth != DepthContents {
			err = fmt.Errorf("%w: Depth %q", ErrInvalid, depth)
		}
		if err == nil {
			err = w.onNewest(ctx, func() error { c, err = w.examined(ctx, depth); return err })
		}
		if err != nil {
			yield(Damage{}, err)
			return
		}
		for _, name := range sortedKeys(c.bad) {
			if !yield(*c.bad[name], nil) {
				return
			}
		}
	}
}

// examination is a look at all that the newest head needs.
type examination struct {
	*work
	depth Depth
	sizes map[string]int64 // what is listed
	live  *places
	bad   map[string]*Damage // by object
	lost  map[tree.ID]string // contents, and the object that should have them
}

// examined examines the newest head. It returns ErrStale if that is not the newest
// one any more, and something seems damaged.
func (w *work) examined(ctx context.Context, depth Depth) (*examination, error) {
	c := &examination{
		work: w, depth: depth, sizes: make(map[string]int64), live: &places{all: make(map[string]*index)},
		bad: make(map[string]*Damage), lost: make(map[tree.ID]string),
	}
	if w.head.Seq == 0 {
		return c, nil
	}
	for _, part := range []func(context.Context) error{c.list, c.indexes, c.packs, c.chapters, c.trees, c.paths} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	if len(c.bad) == 0 {
		return c, nil
	}
	seq, _, err := w.r.newest(ctx)
	if err == nil && seq > w.head.Seq {
		err = fmt.Errorf("%w: commit %d is there", ErrStale, seq)
	}
	return c, err
}

// damage notes that an object is missing, if this is a decision of the remote
// or of the keys. All other errors end the examination.
func (c *examination) damage(name string, err error) error {
	switch {
	case isNotFound(err):
		c.bad[name] = &Damage{Object: name, Reason: "it is missing"}
	case errors.Is(err, ErrCorrupt):
		c.bad[name] = &Damage{Object: name, Reason: "it is damaged"}
	default:
		return err
	}
	return nil
}

func (c *examination) list(ctx context.Context) error {
	for _, folder := range []string{packFolder, indexFolder, logFolder} {
		for o, err := range c.r.List(ctx, folder, "") {
			if err != nil {
				return err
			}
			c.sizes[o.Name] = o.Size
		}
	}
	return nil
}

// indexes reads the indexes. What this device has noted of one that is damaged
// still tells where contents are.
func (c *examination) indexes(ctx context.Context) error {
	for _, name := range c.head.Index {
		noted, err := c.book.read(ctx, keyIndex+name)
		if err != nil {
			return err
		}
		object, err := c.r.get(ctx, name, maxIndex)
		if err == nil && noted != nil && !bytes.Equal(noted, object) {
			err = fmt.Errorf("%w: %s", ErrCorrupt, name)
		}
		x, openErr := c.index(name, object)
		if err == nil {
			err = openErr
		}
		if err := c.damage(name, err); err != nil {
			return err
		}
		if err != nil && noted != nil {
			x, _ = c.index(name, noted) // or it is as good as none
		}
		if x != nil {
			c.live.all[name] = x
		}
	}
	c.forest.live = c.live
	return nil
}

func (c *examination) index(name string, object []byte) (*index, error) {
	content, err := c.Sealer.Open(ObjectIndex, name, object, maxIndex)
	if err != nil {
		return nil, err
	}
	return decodeIndex(content)
}

// packs looks at all packs: at their sizes, or at each content.
func (c *examination) packs(ctx context.Context) error {
	for _, name := range c.live.packs() {
		in, blobs := c.live.blobs(name)
		bad, err := c.pack(ctx, in, blobs)
		if err := c.damage(name, err); err != nil {
			return err
		}
		for _, b := range bad {
			c.lost[b.ID] = name
		}
	}
	return nil
}

// pack returns the contents of a pack that cannot be read, with an error if there
// are any.
func (c *examination) pack(ctx context.Context, in packed, blobs []Blob) (bad []Blob, err error) {
	size, listed := c.sizes[in.name]
	if c.depth == DepthObjects && listed && size == in.size {
		return nil, nil
	}
	object, err := c.r.get(ctx, in.name, maxPack)
	if err != nil {
		return blobs, err
	}
	for _, b := range blobs {
		if _, err := open(c.Sealer, in, b, object); err != nil {
			bad = append(bad, b)
		}
	}
	if len(bad) > 0 {
		err = fmt.Errorf("%w: %s", ErrCorrupt, in.name)
	}
	return bad, err
}

// chapters reads the older log.
func (c *examination) chapters(ctx context.Context) error {
	for _, o := range c.head.Older {
		_, err := c.r.chapter(ctx, o.Name)
		if err := c.damage(o.Name, err); err != nil {
			return err
		}
	}
	return nil
}

// trees looks that the indexes have what the commits are made of.
func (c *examination) trees(ctx context.Context) error {
	seen := make(map[tree.ID]bool)
	h := c.head
	h.Older = slices.DeleteFunc(slices.Clone(h.Older), func(o chapter) bool { return c.bad[o.Name] != nil })
	past := *c.work
	past.head = h
	for e, err := range past.past(ctx) {
		if err != nil {
			return err
		}
		err := c.forest.walkPast(ctx, e.Root, c.miss, func(id tree.ID, object []byte) (bool, error) {
			if seen[id] {
				return false, nil
			}
			seen[id] = true
			c.need(id)
			chunks, err := tree.Chunks(object)
			for _, chunk := range chunks {
				c.need(chunk)
			}
			return true, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lacking is what begins the Damage.Object of a content that no index has: the
// object that had it is not known.
const lacking = "content "

// need notes a content that no index has.
func (c *examination) need(id tree.ID) {
	_, known := c.lost[id]
	if _, _, there := c.live.find(id); known || there {
		return
	}
	name := lacking + id.String()
	c.lost[id] = name
	c.bad[name] = &Damage{Object: name, Reason: "no index has it"}
}

// miss notes a folder that cannot be read.
func (c *examination) miss(id tree.ID, err error) error {
	in, _, there := c.live.find(id)
	if _, known := c.lost[id]; known || !there {
		c.need(id)
		return nil
	}
	c.lost[id] = in.name
	return c.damage(in.name, err)
}

// paths finds the files of the newest commit that cannot be read.
func (c *examination) paths(ctx context.Context) error {
	if len(c.lost) == 0 {
		return nil
	}
	err := c.below(ctx, "", c.head.Root)
	for _, d := range c.bad {
		slices.Sort(d.Paths)
		d.Paths = slices.Compact(d.Paths)
		d.Paths = d.Paths[:min(len(d.Paths), maxPaths)]
	}
	return err
}

func (c *examination) below(ctx context.Context, path string, folder tree.ID) error {
	if folder == (tree.ID{}) {
		return nil
	}
	if c.unreadable(path, folder) {
		return nil
	}
	object, err := c.forest.Get(ctx, folder)
	if err != nil {
		return err
	}
	pages, err := tree.Pages(object)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(pages, func(id tree.ID) bool { return c.unreadable(path, id) }) {
		return nil
	}
	entries, err := c.work.trees.Entries(ctx, folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := strings.TrimPrefix(path+"/"+e.Name, "/")
		for _, id := range e.Chunks {
			c.unreadable(at, id)
		}
		if err := c.below(ctx, at, e.Folder); err != nil {
			return err
		}
	}
	return nil
}

// unreadable notes that a path needs a content that is lost, if it is.
func (c *examination) unreadable(path string, id tree.ID) bool {
	name, lost := c.lost[id]
	if d := c.bad[name]; lost && d != nil {
		d.Paths = append(d.Paths, path)
	}
	return lost
}
