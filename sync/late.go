package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// late is a file that came out of a path, in the words of a note. A program may
// have it open still, and write on: so it stays in Staging until the next sync.
type late struct {
	Path   string    `json:"path"`
	Chunks []tree.ID `json:"chunks"`
}

// came notes that a file has come out of a path, and is staged by this name.
func (w *work) came(path, staged string, was *tree.Entry) {
	if was.Kind != tree.File {
		return
	}
	if w.out == nil {
		w.out = make(map[string]late)
	}
	w.out[staged] = late{path, was.Chunks}
}

// outs are the notes of what came out, for the next sync.
func (w *work) outs() (entries []Entry, err error) {
	for _, staged := range sortedKeys(w.out) {
		text, err := json.Marshal(w.out[staged])
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{keyOut + staged, text})
	}
	return entries, nil
}

// review looks again at what came out in the sync before, or in the one that this
// sync has gone on with. An edit that somebody has written into it since is kept as
// one of the last moment is. All is deleted then.
func (w *work) review(ctx context.Context) error {
	w.masked = make(map[string]string)
	var gone []Entry
	for e, err := range w.book.all(ctx, keyOut) {
		if err != nil {
			return err
		}
		staged := strings.TrimPrefix(e.Key, keyOut)
		gone = append(gone, Entry{Key: e.Key})
		var l late
		if err := json.Unmarshal(e.Value, &l); err != nil {
			return fmt.Errorf("%w: what came out of a path", ErrCorrupt)
		}
		now, err := w.read(ctx, staged)
		if err != nil {
			return err
		}
		if now == nil || is(now, &tree.Entry{Kind: tree.File, Chunks: l.Chunks}) {
			continue
		}
		if err := w.rescue(ctx, l.Path, staged, now); err != nil {
			return err
		}
	}
	w.late, w.result.Conflicts = w.result.Conflicts, nil
	w.out = nil
	if err := w.tidy(ctx); err != nil {
		return err
	}
	return w.book.save(ctx, gone...)
}

// rescue keeps an edit that came out of a path: there, if the path is free, or
// beside.
func (w *work) rescue(ctx context.Context, path, out string, was *tree.Entry) error {
	above, name := split(path)
	folder, err := w.raise(ctx, above)
	if err != nil {
		return err
	}
	to := tree.Join(folder, name)
	for try := uint64(0); ; try++ {
		there, err := w.read(ctx, to)
		if err != nil {
			return err
		}
		if is(there, was) { // one copy is enough
			w.came(path, out, was)
			break
		}
		if there == nil {
			if _, err := w.Files.Place(ctx, out, to); err != nil {
				return err
			}
			break
		}
		to = tree.Join(folder, tree.CopyName(name, *was, try))
	}
	if to == path {
		w.leave(path, "it has changed meanwhile")
	} else {
		w.result.Conflicts = append(w.result.Conflicts, tree.Conflict{Path: path, Copy: to, Ours: true})
	}
	return nil
}

// raise makes a folder, and those above, if they are gone. It returns the folder,
// or the last above that can be had, if something else has the name of one.
func (w *work) raise(ctx context.Context, folder string) (string, error) {
	if folder == "" {
		return "", nil
	}
	above, name := split(folder)
	there, err := w.raise(ctx, above)
	if err != nil || there != above {
		return there, err
	}
	path := tree.Join(above, name)
	now, err := w.read(ctx, path)
	switch {
	case err != nil:
		return "", err
	case now != nil && now.Kind == tree.Folder:
		return path, nil
	case now != nil:
		return above, nil
	}
	staged := w.taken(path) + "-folder"
	if err := w.Files.Stage(ctx, File{Path: staged, Mode: fs.ModeDir | 0o755}, nil); err != nil {
		return "", err
	}
	_, err = w.Files.Place(ctx, staged, path)
	return path, err
}
