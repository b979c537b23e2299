package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// chapter is an object that has earlier commits. It is immutable: one that grows
// is written anew, by another name.
type chapter struct {
	Name    string `json:"name"`
	Commits int    `json:"commits"`
}

const (
	maxLog      = 64       // earlier commits that a head lists itself
	maxCommits  = 1000     // of a chapter
	maxChapter  = 16 << 20 // bytes
	shelfSuffix = "-shelf" // of the ID of a shelf: the rest is the commit's
)

// errAbsent is the ErrNotFound of what a commit does not have, or of a commit that
// history does not have: no newer head would have it either.
var errAbsent = fmt.Errorf("history: %w", ErrNotFound)

// next is a head that follows h. If its log is full, the older half of it goes to
// a chapter, but for what is forgotten.
func (w *work) next(ctx context.Context, h head) (head, error) {
	n := h.next(w.Device, w.request.By, w.put)
	n.Machine = w.Machine
	if len(n.Log) <= maxLog {
		return n, nil
	}
	older := slices.Clone(n.Log[maxLog/2:])
	n.Log = n.Log[:maxLog/2]
	older = slices.DeleteFunc(older, func(e entry) bool { return e.Forgotten })
	if len(n.Older) > 0 && n.Older[0].Commits+len(older) <= maxCommits {
		last, err := w.r.chapter(ctx, n.Older[0].Name)
		if err != nil {
			return head{}, err
		}
		older, n.Older = append(older, last...), n.Older[1:]
	}
	chapters, err := w.r.putChapters(ctx, older)
	n.Older = slices.Concat(chapters, n.Older)
	return n, err
}

// chapter reads a chapter.
func (r *repository) chapter(ctx context.Context, name string) (all []entry, err error) {
	object, err := r.get(ctx, name, maxChapter)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	content, err := r.seal.Open(ObjectLog, name, object, maxChapter)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if json.Unmarshal(content, &all) != nil {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, name)
	}
	return all, nil
}

// follows reports whether a commit is a head, or one that it or its chapters list.
func (r *repository) follows(ctx context.Context, n, h head) (bool, error) {
	if h.Seq > n.Seq || n.reaches(h.Seq) {
		return n.follows(h.Seq, h.id), nil
	}
	for _, older := range n.Older {
		all, err := r.chapter(ctx, older.Name)
		if err != nil {
			return false, err
		}
		if i := slices.IndexFunc(all, func(e entry) bool { return e.Seq == h.Seq }); i >= 0 {
			return all[i].ID == h.id, nil
		}
	}
	return false, nil // it has been forgotten, or came to a number that was
}

// putChapters puts commits, newest first, in as many chapters as they need.
func (r *repository) putChapters(ctx context.Context, all []entry) (chapters []chapter, err error) {
	for some := range slices.Chunk(all, maxCommits) {
		content, err := json.Marshal(some)
		if err != nil {
			return nil, err
		}
		name := logFolder + draw()
		if err := r.put(ctx, name, r.seal.Seal(ObjectLog, name, content)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		chapters = append(chapters, chapter{name, len(some)})
	}
	return chapters, nil
}

// past yields the newest commit and those before it, newest first, but for what
// is forgotten. A shelf follows its commit.
func (w *work) past(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if w.head.Seq == 0 {
			return
		}
		all := append([]entry{w.head.entry(w.put)}, w.head.Log...)
		for older := w.head.Older; ; older = older[1:] {
			for _, e := range all {
				if !e.Forgotten && (!yield(e, nil) || e.Shelf != nil && !yield(e.shelved(), nil)) {
					return
				}
			}
			if len(older) == 0 {
				return
			}
			var err error
			if all, err = w.r.chapter(ctx, older[0].Name); err != nil {
				yield(entry{}, err)
				return
			}
		}
	}
}

// shelved is the shelf of a commit as a commit of its own.
func (e entry) shelved() entry {
	e.ID += shelfSuffix
	e.Root, e.Files, e.Bytes, e.Shelf = e.Shelf.Root, e.Shelf.Files, e.Shelf.Bytes, nil
	return e
}

// find returns a commit that is in history.
func (w *work) find(ctx context.Context, id string) (entry, error) {
	for e, err := range w.past(ctx) {
		if err != nil || e.ID == id {
			return e, err
		}
	}
	return entry{}, fmt.Errorf("%w: commit %q", errAbsent, id)
}

// onNewest calls f, which reads what the newest head needs, or commits on it. It
// calls it again on a newer head if somebody else was faster, or if a compaction
// has deleted what f reads.
func (w *work) onNewest(ctx context.Context, f func() error) (err error) {
	for range maxTries {
		switch err = f(); {
		case errors.Is(err, errAbsent):
			return err
		case errors.Is(err, ErrStale):
			err = w.behind(ctx)
		case isNotFound(err):
			_, err = w.overtaken(ctx, err)
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: others commit too often", ErrUnavailable)
}

// live finds out where the contents of all commits are.
func (w *work) live(ctx context.Context) error {
	w.forest.live = w.r.places(w.head)
	return w.forest.live.read(ctx)
}

// reader prepares to read what the remote has. It changes nothing, on either side,
// and may be used beside a sync.
func (e *engine) reader(ctx context.Context) (*work, error) {
	w, err := e.begin(ctx, Request{})
	if err != nil {
		return nil, err
	}
	w.book.dry = true
	return w, w.look(ctx)
}
