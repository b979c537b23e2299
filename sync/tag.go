package sync

import (
	"context"
	"fmt"
	"maps"
	"unicode/utf8"
)

const (
	maxTag  = 256  // bytes
	maxTags = 1000 // since every head has all of them
)

// Tag names a commit, in a commit of its own. An empty commit removes the tag.
func (e *engine) Tag(ctx context.Context, tag, commit string, by By) error {
	if tag == "" || len(tag) > maxTag {
		return fmt.Errorf("%w: tag of %d bytes: 1 to %d are allowed", ErrInvalid, len(tag), maxTag)
	}
	if !utf8.ValidString(tag) { // a head would have another one
		return fmt.Errorf("%w: tag %q is not UTF-8", ErrInvalid, tag)
	}
	w, err := e.reader(ctx)
	if err != nil {
		return err
	}
	w.request.By = by
	return w.onNewest(ctx, func() error { return w.tag(ctx, tag, commit) })
}

func (w *work) tag(ctx context.Context, tag, commit string) error {
	if w.head.Tags[tag] == commit {
		return nil
	}
	if commit != "" {
		if _, err := w.find(ctx, commit); err != nil {
			return err
		}
	}
	next, err := w.next(ctx, w.head)
	if err != nil {
		return err
	}
	if next.Tags = maps.Clone(w.head.Tags); next.Tags == nil {
		next.Tags = make(map[string]string)
	}
	if next.Tags[tag] = commit; commit == "" {
		delete(next.Tags, tag)
	}
	if len(next.Tags) > maxTags {
		return fmt.Errorf("%w: more than %d tags", ErrInvalid, maxTags)
	}
	return w.record(ctx, next)
}

// record commits something that leaves the tree as it is, and notes what follows
// from that.
func (w *work) record(ctx context.Context, next head, notes ...Entry) (err error) {
	if err := w.prove(ctx); err != nil {
		return err
	}
	if next.object, err = next.seal(w.Sealer); err != nil {
		return err
	}
	done, err := w.r.commit(ctx, next)
	if err != nil {
		return err
	}
	w.head = done
	return w.book.save(ctx, notes...)
}
