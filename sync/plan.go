package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// Plan compares both sides and changes neither.
func (e *engine) Plan(ctx context.Context, q Request) (Plan, error) {
	w, err := e.begin(ctx, q)
	if err != nil {
		return Plan{}, err
	}
	w.book.dry = true
	if err := w.obey(ctx); err != nil {
		return Plan{}, err
	}
	if err := w.look(ctx); err != nil {
		return Plan{}, err
	}
	if err := w.agree(ctx); err != nil {
		return Plan{}, err
	}
	u, err := w.r.beginUpload(ctx, w.head)
	if err != nil {
		return Plan{}, err
	}
	u.dry, w.forest.live = true, u.live
	ours, err := w.scan(ctx, u)
	if err != nil {
		return Plan{}, err
	}
	merged, err := w.merge(ctx, u, ours)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{ID: w.planID(ours, merged), Base: w.known.id, Head: w.head.id}
	if err := w.guard(ctx, ours, merged); errors.Is(err, ErrGuard) {
		p.Guard = strings.TrimPrefix(err.Error(), ErrGuard.Error()+": ")
	} else if err != nil {
		return Plan{}, err
	}
	if p.Actions, err = w.actions(ctx, ours, merged); err != nil {
		return Plan{}, err
	}
	p.Problems = w.result.Problems
	return p, nil
}

// planID names what a sync would do by what it comes from and what comes of it.
func (w *work) planID(ours, merged tree.ID) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		string(w.request.Mode), fmt.Sprint(w.request.Fresh), w.head.id, w.base.String(), ours.String(), merged.String(),
	}, "\n")))
	return hex.EncodeToString(sum[:16])
}

// actions are what a sync would do to files, on either side.
func (w *work) actions(ctx context.Context, ours, merged tree.ID) (all []Action, err error) {
	copied, said := make(map[string]string), make(map[string]bool)
	for _, c := range w.result.Conflicts {
		copied[c.Copy] = c.Path
	}
	for _, side := range []struct {
		root                tree.ID
		put, remove, rename ActionKind
		masked              bool
	}{
		{w.head.Root, ActionUpload, ActionDeleteRemote, ActionRenameRemote, false},
		{ours, ActionDownload, ActionDeleteLocal, ActionRenameLocal, true},
	} {
		var changes []tree.Change
		for c, err := range w.trees.Diff(ctx, side.root, merged) {
			if err != nil {
				return nil, err
			}
			if !side.masked || !w.under(c) {
				changes = append(changes, c)
			}
		}
		moved := renames(changes)
		for _, c := range changes {
			a := Action{Path: c.Path}
			from, isCopy := copied[c.Path]
			switch {
			case said[c.Path]:
				continue
			case w.merged[c.Path] && c.New != nil:
				a.Kind, a.Size = ActionMerge, c.New.Size
				said[c.Path] = true
			case isCopy && from == "": // it was said of the other side
				continue
			case isCopy && c.New != nil:
				a.Kind, a.From, a.Size = ActionConflict, from, c.New.Size
				copied[c.Path] = ""
			case c.New != nil && c.New.Kind != tree.Folder && moved[c.Path] != "":
				a.Kind, a.From, a.Size = side.rename, moved[c.Path], c.New.Size
			case c.New != nil && c.New.Kind != tree.Folder:
				a.Kind, a.Size = side.put, c.New.Size
			case c.New == nil && c.Old.Kind != tree.Folder && moved["from "+c.Path] == "":
				a.Kind, a.Size = side.remove, c.Old.Size
			default:
				continue
			}
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b Action) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// renames pairs files that go with such that come and have the same: for the path
// of each that comes the one where it was, and for "from " and the path of each
// that goes the one where it is.
func renames(changes []tree.Change) map[string]string {
	gone := make(map[string][]string)
	for _, c := range changes {
		if c.New == nil && c.Old.Kind == tree.File && c.Old.Size > 0 {
			gone[contentOf(c.Old)] = append(gone[contentOf(c.Old)], c.Path)
		}
	}
	moved := make(map[string]string)
	for _, c := range changes {
		if c.Old != nil || c.New.Kind != tree.File {
			continue
		}
		if from := gone[contentOf(c.New)]; len(from) > 0 {
			moved[c.Path], moved["from "+from[0]] = from[0], c.Path
			gone[contentOf(c.New)] = from[1:]
		}
	}
	return moved
}
