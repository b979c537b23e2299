package sync

import (
	"context"
	"errors"
	"slices"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// Compact forgets the commits that keep does not keep, and deletes what nothing
// needs. It is a commit like any other: what is to go is named in it first, so
// that nobody whose commit follows refers to it, and deleted then.
func (e *engine) Compact(ctx context.Context, keep Retention, by By) (done Compaction, err error) {
	w, err := e.begin(ctx, Request{By: by})
	if err != nil {
		return Compaction{}, err
	}
	if err := w.look(ctx); err != nil {
		return Compaction{}, err
	}
	w.tell.begin(StepCompact, 0, 0)
	err = w.onNewest(ctx, func() error {
		c := compaction{work: w, keep: keep}
		err := c.try(ctx)
		done = c.done
		return err
	})
	return done, err
}

// PlanCompact tells what Compact would do, and changes nothing.
func (e *engine) PlanCompact(ctx context.Context, keep Retention) (done Compaction, err error) {
	w, err := e.reader(ctx)
	if err != nil {
		return Compaction{}, err
	}
	err = w.onNewest(ctx, func() error {
		c := compaction{work: w, keep: keep, dry: true}
		err := c.try(ctx)
		done = c.done
		return err
	})
	return done, err
}

// maxGone is how many objects a compaction deletes: a head names all of them.
const maxGone = 20_000

// compaction is one try.
type compaction struct {
	*work
	keep Retention
	dry  bool // it only tells
	done Compaction

	older  [][]entry      // the chapters of the head
	kept   map[int64]bool // commits, by number
	heads  []Object       // those that are forgotten
	needed map[[32]byte]bool
	stays  *index   // the contents that stay
	anew   bool     // there is a new index
	gone   []string // what nothing needs
	sizes  map[string]int64
}

func (c *compaction) try(ctx context.Context) error {
	if c.head.Seq == 0 {
		return nil
	}
	if err := c.prove(ctx); err != nil {
		return err
	}
	u, err := c.r.beginUpload(ctx, c.head)
	if err != nil {
		return err
	}
	defer u.stop()
	c.forest.live = u.live
	if err := u.live.read(ctx); err != nil {
		return err
	}
	was, sent := c.head.id, c.r.sent.Load()
	for _, find := range []func(context.Context) error{c.choose, c.need, func(ctx context.Context) error { return c.condemn(ctx, u) }} {
		if err := find(ctx); err != nil {
			return err
		}
	}
	if c.dry {
		c.foretell()
		return nil
	}
	if len(c.gone) > 0 || c.done.Forgotten > 0 {
		if err := c.announce(ctx, u); err != nil {
			return err
		}
	}
	err = c.delete(ctx)
	c.done.Bytes -= c.r.sent.Load() - sent
	if c.head.id != was {
		c.done.Commit = c.head.id
	}
	return err
}

// foretell counts what would be deleted.
func (c *compaction) foretell() {
	for _, name := range slices.Concat(c.head.Gone, c.gone) {
		if size, there := c.sizes[name]; there {
			c.count(size)
		}
	}
	for _, o := range c.heads {
		c.count(o.Size)
	}
}

func (c *compaction) count(size int64) {
	c.done.Objects++
	c.done.Bytes += size
}

// need finds what the commits that are kept are made of. What cannot be read
// ends the compaction, but for what an older commit lacks since a repair.
func (c *compaction) need(ctx context.Context) error {
	c.needed = make(map[[32]byte]bool)
	for i, root := range c.roots() {
		c.tell.done("", 0, 0) // a run may stop here
		miss := func(_ tree.ID, err error) error {
			if i > 0 && errors.Is(err, errLost) {
				return nil
			}
			return err
		}
		err := c.forest.walkPast(ctx, root, miss, func(id tree.ID, object []byte) (bool, error) {
			if c.needed[id] {
				return false, nil
			}
			c.needed[id] = true
			ids, err := tree.Chunks(object)
			for _, id := range ids {
				c.needed[id] = true
			}
			return true, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// condemn finds the objects that nothing needs. What is needed of a pack that is
// mostly garbage is sent again.
func (c *compaction) condemn(ctx context.Context, u *upload) error {
	c.stays = new(index)
	going := make(map[string]bool)
	for _, name := range u.live.packs() {
		c.tell.done("", 0, 0) // a run may stop here
		var used, all int64
		_, blobs := u.live.blobs(name)
		for _, b := range blobs {
			if all += int64(b.Length); c.needed[b.ID] {
				used += int64(b.Length)
			}
		}
		if 2*used >= all && used > 0 {
			continue
		}
		going[name] = true
		if c.dry {
			c.done.Bytes -= used
			continue
		}
		if err := c.resend(ctx, u, blobs); err != nil {
			return err
		}
	}
	for _, x := range u.live.all {
		if x = x.without(going); x != nil {
			c.stays.join(x)
		}
	}
	if err := c.garbage(ctx, u); err != nil {
		return err
	}
	for name := range going {
		c.gone = append(c.gone, name)
	}
	_, n := parts(c.r.part, c.stays)
	if c.anew = len(going) > 0 || len(c.head.Index) > n || len(u.own) > 0; c.anew {
		c.gone = append(c.gone, c.head.Index...)
	}
	slices.Sort(c.gone)
	c.gone = c.gone[:min(len(c.gone), max(0, maxGone-len(c.head.Gone)))] // the next compaction finds the others
	return nil
}

// resend sends what is needed of a pack that goes.
func (c *compaction) resend(ctx context.Context, u *upload, blobs []Blob) error {
	for _, b := range blobs {
		if !c.needed[b.ID] {
			continue
		}
		content, err := c.r.blob(ctx, u.live, b.ID)
		if err != nil {
			return err
		}
		if err := u.again(ctx, b.ID, content); err != nil {
			return err
		}
	}
	return nil
}

// garbage finds objects that are in no commit.
func (c *compaction) garbage(ctx context.Context, u *upload) error {
	named := make(map[string]bool)
	for _, name := range slices.Concat(u.live.packs(), c.head.Index, c.head.Gone) {
		named[name] = true
	}
	for name := range u.own {
		named[name] = true
	}
	_, less := c.rest()
	for _, older := range c.head.Older {
		if named[older.Name] = true; less {
			c.gone = append(c.gone, older.Name)
		}
	}
	c.sizes = make(map[string]int64)
	for _, folder := range []string{packFolder, indexFolder, logFolder} {
		for o, err := range c.r.List(ctx, folder, "") {
			if err != nil {
				return err
			}
			c.sizes[o.Name] = o.Size
			if young := c.Young > 0 && c.put.Sub(o.Time) < c.Young; !named[o.Name] && !young {
				c.gone = append(c.gone, o.Name)
			}
		}
	}
	return nil
}

// announce commits what is to go.
func (c *compaction) announce(ctx context.Context, u *upload) error {
	if err := u.flush(ctx); err != nil {
		return err
	}
	next, err := c.shorter(ctx)
	if err != nil {
		return err
	}
	next.Gone = slices.Concat(c.head.Gone, c.gone)
	if !c.anew {
		return c.record(ctx, next)
	}
	for _, x := range u.own {
		c.stays.join(x)
	}
	if next.Index, err = c.r.putIndex(ctx, c.stays); err != nil {
		return err
	}
	u.done = true
	return c.record(ctx, next, u.committed()...)
}

// delete deletes what the newest head says is to go, and the heads that are
// forgotten, and commits that it is gone.
func (c *compaction) delete(ctx context.Context) error {
	c.tell.begin(StepCompact, int64(len(c.head.Gone)+len(c.heads)), 0)
	var kept []string
	for _, name := range c.head.Gone {
		c.tell.done("", 1, 0)
		err := c.r.again(ctx, func() error { return c.r.Delete(ctx, name) })
		switch {
		case errors.Is(err, ErrDenied): // for now, as of a bucket that keeps what it has for a time
			kept = append(kept, name)
		case err != nil:
			return err
		default:
			if size, there := c.sizes[name]; there {
				c.count(size)
			}
		}
	}
	for _, o := range c.heads {
		c.tell.done("", 1, 0)
		err := c.r.again(ctx, func() error { return c.r.Delete(ctx, o.Name) })
		switch {
		case errors.Is(err, ErrDenied):
		case err != nil:
			return err
		default:
			c.count(o.Size)
		}
	}
	if len(c.head.Gone) == len(kept) {
		return nil
	}
	next, err := c.next(ctx, c.head)
	if err != nil {
		return err
	}
	next.Gone = kept
	err = c.record(ctx, next)
	if errors.Is(err, ErrStale) {
		return nil // the next compaction says so
	}
	return err
}
