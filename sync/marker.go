package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// marker lies in the folder and says which commit it equals. By it the folder is
// told from one that is not mounted, and from one that was restored, or copied,
// without what this device has noted.
type marker struct {
	Commits map[string]mark `json:"commits"` // by repository
}

// mark is what a folder equals: a commit, as a whole or but for some paths, of
// which only the notes tell.
type mark struct {
	Commit string `json:"commit"`
	Whole  bool   `json:"whole"`
}

const (
	markerName = Staging + "/equals"
	maxMarker  = 64 << 10 // bytes
)

// mark writes the marker. What it says of other repositories stays.
func (w *work) mark(ctx context.Context, commit string, whole bool) error {
	m, err := w.marked(ctx)
	if err != nil {
		return err
	}
	if m.Commits == nil {
		m.Commits = make(map[string]mark)
	}
	m.Commits[w.Sealer.Repository()] = mark{commit, whole}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxMarker {
		return fmt.Errorf("%w: the folder is synced with too many remotes", ErrInvalid)
	}
	f := File{Path: markerName, Mode: 0o600, Size: int64(len(text)), ModTime: w.put}
	if err := w.Files.Stage(ctx, f, strings.NewReader(string(text))); err != nil {
		return err
	}
	return w.Files.Flush(ctx)
}

// marked reads the marker. One that cannot be read is as good as none.
func (w *work) marked(ctx context.Context) (m marker, err error) {
	r, err := w.Files.Open(ctx, markerName)
	if isNotFound(err) {
		return marker{}, nil
	}
	if err != nil {
		return marker{}, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxMarker))
	if err = errors.Join(err, r.Close()); err != nil {
		return marker{}, err
	}
	if json.Unmarshal(text, &m) != nil {
		return marker{}, nil
	}
	return m, nil
}

// gone reports whether the folder is not there any more, or not with its mark.
func (w *work) gone(ctx context.Context) bool {
	if _, err := w.Files.Caps(ctx); err != nil {
		return true
	}
	m, err := w.marked(ctx)
	return err != nil || w.known.id != "" && m.Commits[w.Sealer.Repository()].Commit == ""
}

// agree looks that the folder is the one of which this device has notes. If its
// marker says another commit, that is what it comes from, or else nothing is
// known of it. One without a marker is refused: it may not be mounted.
func (w *work) agree(ctx context.Context) error {
	if w.request.Fresh {
		return nil
	}
	m, err := w.marked(ctx)
	is := m.Commits[w.Sealer.Repository()]
	switch {
	case err != nil, is.Commit == w.known.id:
		return err
	case is.Commit == "":
		w.stranger = fmt.Errorf("%w: the folder is not the one that equalled commit %.8s: it has no mark", ErrGuard, w.known.id)
		return nil
	}
	w.base = tree.ID{}
	if !is.Whole {
		return nil // what it lacks was never here, and is not deleted
	}
	log := slices.Concat([]entry{{ID: w.head.id, Root: w.head.Root}}, w.head.Log)
	i := slices.IndexFunc(log, func(e entry) bool { return e.ID == is.Commit })
	if i < 0 {
		return nil
	}
	w.forest.live = w.r.places(w.head)
	err = w.forest.walk(ctx, log[i].Root, func(tree.ID, []byte) (bool, error) { return true, nil })
	switch {
	case errors.Is(err, ErrCorrupt), isNotFound(err):
		return nil // it was forgotten
	case err == nil:
		w.base = log[i].Root
	}
	return err
}
