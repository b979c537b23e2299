package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// forget says what a compaction keeps.
type forget struct {
	Commits int // the newest so many; default 1
	// Young spares objects that are in no commit and were put so lately, by the
	// remote's clock: a long upload needs them. It makes nothing safer. Default
	// 7 days; nothing is spared if it is negative.
	Young time.Duration
}

// Compact forgets commits and deletes what nothing needs. It is a commit like any
// other: what is to go is named in it first, so that nobody whose commit follows
// refers to it, and deleted then.
func (e *engine) Compact(ctx context.Context, keep forget) (Compaction, error) {
	if keep.Commits <= 0 {
		keep.Commits = 1
	}
	if keep.Young == 0 {
		keep.Young = 7 * 24 * time.Hour
	}
	w, err := e.begin(ctx, Request{})
	if err != nil {
		return Compaction{}, err
	}
	if err := w.look(ctx); err != nil {
		return Compaction{}, err
	}
	for range maxTries {
		c := compaction{work: w, keep: keep}
		err = c.try(ctx)
		if !errors.Is(err, ErrStale) {
			return c.done, err
		}
		if err := w.behind(ctx); err != nil {
			return Compaction{}, err
		}
	}
	return Compaction{}, fmt.Errorf("%w: others commit too often", ErrUnavailable)
}

// compaction is one try.
type compaction struct {
	*work
	keep forget
	done Compaction

	needed map[[32]byte]bool
	rest   *index   // of what stays
	anew   bool     // there is a new index
	gone   []string // what nothing needs
}

func (c *compaction) try(ctx context.Context) error {
	if c.head.Seq == 0 {
		return nil
	}
	u, err := c.r.beginUpload(ctx, c.head)
	if err != nil {
		return err
	}
	c.forest.live = u.live
	if err := c.need(ctx); err != nil {
		return err
	}
	if err := c.condemn(ctx, u); err != nil {
		return err
	}
	if len(c.gone) > 0 {
		if err := c.announce(ctx, u); err != nil {
			return err
		}
	}
	return c.delete(ctx)
}

// need finds what the commits that are kept are made of. What cannot be read
// ends the compaction.
func (c *compaction) need(ctx context.Context) error {
	c.needed = make(map[[32]byte]bool)
	roots := []tree.ID{c.head.Root}
	for _, e := range c.head.Log[:min(len(c.head.Log), c.keep.Commits-1)] {
		roots = append(roots, e.Root)
	}
	for _, root := range roots {
		err := c.forest.walk(ctx, root, func(id tree.ID, object []byte) (bool, error) {
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
	c.rest = new(index)
	going := make(map[string]bool)
	for _, name := range u.live.packs() {
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
	}
	for _, x := range u.live {
		if x = x.without(going); x != nil {
			c.rest.join(x)
		}
	}
	if err := c.garbage(ctx, u); err != nil {
		return err
	}
	for name := range going {
		c.gone = append(c.gone, name)
	}
	if c.anew = len(going) > 0 || len(c.head.Index) > 1 || len(u.own) > 0; c.anew {
		c.gone = append(c.gone, c.head.Index...)
	}
	slices.Sort(c.gone)
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
	for _, folder := range []string{packFolder, indexFolder} {
		for o, err := range c.r.List(ctx, folder, "") {
			if err != nil {
				return err
			}
			if young := c.keep.Young > 0 && c.put.Sub(o.Time) < c.keep.Young; !named[o.Name] && !young {
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
	next := c.head.next(c.Device, c.put)
	next.Gone = slices.Concat(c.head.Gone, c.gone)
	if !c.anew {
		return c.putHead(ctx, next)
	}
	for _, x := range u.own {
		c.rest.join(x)
	}
	if next.Index = nil; len(c.rest.packs) > 0 {
		name, err := c.r.putIndex(ctx, c.rest)
		if err != nil {
			return err
		}
		next.Index = []string{name}
	}
	return c.putHead(ctx, next, u.committed()...)
}

// putHead commits, and notes what follows from that.
func (c *compaction) putHead(ctx context.Context, next head, notes ...Entry) (err error) {
	next.object = next.seal(c.Sealer)
	done, err := c.r.commit(ctx, next)
	if err != nil {
		return err
	}
	c.head, c.done.Commit = done, done.id
	return c.book.save(ctx, notes...)
}

// delete deletes what the newest head says is to go, and the heads that are
// forgotten, and commits that it is gone.
func (c *compaction) delete(ctx context.Context) error {
	var kept []string
	for _, name := range c.head.Gone {
		err := c.r.again(ctx, func() error { return c.r.Delete(ctx, name) })
		switch {
		case errors.Is(err, ErrDenied): // for now, as of a bucket that keeps what it has for a time
			kept = append(kept, name)
		case err != nil:
			return err
		default:
			c.done.Objects++
		}
	}
	oldest := max(1, c.head.Seq-int64(c.keep.Commits-1))
	for o, err := range c.r.List(ctx, headFolder, headName(oldest)) {
		if err != nil {
			return err
		}
		if err := c.r.again(ctx, func() error { return c.r.Delete(ctx, o.Name) }); err != nil {
			return err
		}
		c.done.Objects++
	}
	if len(c.head.Gone) == len(kept) {
		return nil
	}
	next := c.head.next(c.Device, c.put)
	next.Gone = kept
	err := c.putHead(ctx, next)
	if errors.Is(err, ErrStale) {
		return nil // the next compaction says so
	}
	return err
}
