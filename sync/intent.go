package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// intent is what a sync is about to do, in the words of a note: to put a head,
// and then to make the folder, which is as Ours says, as Merged says.
type intent struct {
	Run    string  `json:"run,omitempty"`
	Head   []byte  `json:"head"` // the object
	Seq    int64   `json:"seq"`
	Put    bool    `json:"put"`             // it is the newest, or was
	Staged bool    `json:"staged"`          // all that is to be placed: what is not there any more has been placed
	Proof  string  `json:"proof,omitempty"` // a file that is staged as long as that is so
	Ours   tree.ID `json:"ours"`
	Merged tree.ID `json:"merged"`
	Base   tree.ID `json:"base"`
	Edit   bool    `json:"edit,omitempty"` // it is somebody's edit, and no commit: the base stays
	Keep   bool    `json:"keep,omitempty"` // what is replaced and nobody has committed stays beside
	// Masked are the paths that were masked, and why: nothing of them is staged, and
	// they stay masked until it is done, whatever is allowed by then.
	Masked map[string]string `json:"masked,omitempty"`
}

// intend notes that a head is about to be put.
func (w *work) intend(ctx context.Context, next *head, ours, merged tree.ID) (err error) {
	if next.object, err = next.seal(w.Sealer); err != nil {
		return err
	}
	return w.note(ctx, intent{Run: w.Run, Head: next.object, Seq: next.Seq, Ours: ours, Merged: merged, Base: w.base})
}

// note keeps an intent, and the folders of its trees.
func (w *work) note(ctx context.Context, i intent) error {
	i.Masked = w.masked
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	entries := []Entry{{keyJournal, text}, {keyStaging, []byte(w.staging)}}
	for _, root := range []tree.ID{i.Ours, i.Merged} {
		unsaved, err := w.forest.unsaved(ctx, w.base, root)
		if err != nil {
			return err
		}
		entries = append(entries, unsaved...)
	}
	return w.book.save(ctx, entries...)
}

// recover goes on with what a sync has begun that did not end, and looks again at
// what came out.
func (w *work) recover(ctx context.Context) error {
	text, ok := w.book.notes[keyJournal]
	switch {
	case ok:
		var i intent
		if err := json.Unmarshal(text, &i); err != nil {
			return fmt.Errorf("%w: what was under way", ErrCorrupt)
		}
		if err := w.resume(ctx, i); err != nil || w.finished {
			return err
		}
	case w.Run != "" && string(w.book.notes[keyDone]) == w.Run:
		w.finished, w.result.Commit, w.result.Committed = true, w.known.id, true
		return nil
	}
	return w.review(ctx)
}

// resume goes on with what was begun.
func (w *work) resume(ctx context.Context, i intent) error {
	if untouched, err := w.untouched(ctx, i); err != nil {
		return err
	} else if !untouched { // among what is staged may be an edit that came out: it becomes stale
		w.staging = w.ownStaging()
		return errors.Join(w.book.save(ctx, Entry{keyStaging, []byte(w.staging)}), w.abandon(ctx))
	}
	if w.masked = i.Masked; w.masked == nil {
		w.masked = make(map[string]string)
	}
	if i.Edit {
		return w.recoverEdit(ctx, i)
	}
	h, err := openHead(w.Sealer, i.Seq, i.Head)
	if err != nil {
		return err
	}
	if !i.Put {
		counted, err := w.counted(ctx, h)
		if err != nil {
			return err
		}
		if !counted {
			return w.book.save(ctx, Entry{Key: keyJournal})
		}
	}
	w.head, w.base = h, i.Base
	w.forest.live = w.r.places(h)
	w.recovers = true
	i.Put = true
	all, err := w.changes(ctx, i)
	if err == nil {
		_, err = w.change(ctx, i, all)
	}
	ends := i.Run
	switch {
	case w.unstaged(ctx, all, err):
		ends = "" // what could not be had is tried anew
	case !i.Staged && isNotFound(err): // a compaction has deleted what is needed, and nothing is changed yet
		return w.abandon(ctx)
	case err != nil:
		return err
	}
	if err := w.settle(ctx, i.Merged, ends); err != nil {
		return err
	}
	w.recovers = false
	if w.finished = ends != "" && ends == w.Run; w.finished {
		w.result.Commit, w.result.Committed = h.id, true
	} else {
		w.result = engineResult{}
	}
	return w.remember()
}

// counted reports whether a head was put, and counts: it is there, or the newest
// one comes from it.
func (w *work) counted(ctx context.Context, h head) (bool, error) {
	there, err := w.r.get(ctx, headName(h.Seq), maxHead)
	if err != nil && !isNotFound(err) {
		return false, err
	}
	if err == nil && bytes.Equal(there, h.object) {
		err := w.r.counts(ctx, h)
		if errors.Is(err, ErrStale) {
			return false, nil
		}
		return err == nil, err
	}
	seq, _, err := w.r.newest(ctx)
	if err != nil || seq < h.Seq {
		return false, err
	}
	newest, err := w.r.head(ctx, seq)
	if err != nil {
		return false, err
	}
	return w.r.follows(ctx, newest, h)
}

// abandon forgets what was begun.
func (w *work) abandon(ctx context.Context) error {
	w.recovers = false
	return errors.Join(w.book.save(ctx, Entry{Key: keyJournal}), w.remember())
}

// basis is the base for what the folder equals now: what is masked, or could not
// be placed, keeps the entry that it had; what is ignored has none.
func (w *work) basis(ctx context.Context, merged tree.ID) (tree.ID, error) {
	at := make(map[string]*tree.Entry)
	for path, reason := range w.masked {
		if reason == ignored {
			at[path] = nil
			continue
		}
		was, err := w.trees.Find(ctx, w.base, path)
		if err != nil {
			return tree.ID{}, err
		}
		at[path] = was
	}
	return w.trees.With(ctx, merged, at)
}

// settle notes what the folder equals now: the last act of a sync, and of the run
// that has done it, if that has done all. More is noted with it.
func (w *work) settle(ctx context.Context, merged tree.ID, run string, more ...Entry) error {
	base, err := w.basis(ctx, merged)
	if err != nil {
		return err
	}
	if err := w.mark(ctx, w.head.id, base == merged); err != nil {
		return err
	}
	entries, err := w.forest.save(ctx, base)
	if err != nil {
		return err
	}
	isLive := func(key string) bool { return slices.Contains(w.head.Index, strings.TrimPrefix(key, keyIndex)) }
	w.book.forget(keyIndex, isLive)
	for e, err := range w.book.spread(ctx, keyIndex+indexFolder) {
		if err != nil {
			return err
		}
		if !isLive(e.Key) {
			entries = append(entries, Entry{Key: e.Key})
		}
	}
	if err := w.sweep(ctx); err != nil {
		return err
	}
	out, err := w.outs()
	if err != nil {
		return err
	}
	entries = append(append(entries, out...), Entry{keyHead, known(w.head)}, Entry{Key: keyJournal}, Entry{keyDone, []byte(run)})
	if err := w.book.save(ctx, append(entries, more...)...); err != nil {
		return err
	}
	return w.tidy(ctx)
}
