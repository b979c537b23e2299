package sync

import (
	"context"
	"strings"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// clashes finds what a tree of files that knows no case cannot hold beside
// something else: of the names that differ only in case the one that is here
// already, or else the first, is kept.
func (w *work) clashes(ctx context.Context, ours, merged tree.ID, changes []tree.Change) error {
	if w.caps.CaseSensitive {
		return nil
	}
	looked := make(map[string]bool) // folders
	for _, c := range changes {
		if c.New == nil || c.Old != nil {
			continue
		}
		above, _ := split(c.Path)
		if looked[above] {
			continue
		}
		looked[above] = true
		all, err := w.entriesAt(ctx, merged, above)
		if err != nil {
			return err
		}
		here, err := w.entriesAt(ctx, ours, above)
		if err != nil {
			return err
		}
		w.clash(above, all, here)
	}
	return nil
}

// clash masks the entries of a folder that have to give way.
func (w *work) clash(folder string, all, here []tree.Entry) {
	kept := make(map[string]string) // by the name without case
	for path := range w.masked {
		if above, name := split(path); above == folder {
			kept[folded(name)] = name
		}
	}
	for _, e := range all {
		if entryOf(here, e.Name) != nil {
			kept[folded(e.Name)] = e.Name
		}
	}
	for _, e := range all {
		name, taken := kept[folded(e.Name)]
		switch {
		case !taken:
			kept[folded(e.Name)] = e.Name
		case name != e.Name:
			w.leave(tree.Join(folder, e.Name), "its name differs only in case from "+tree.Join(folder, name))
		}
	}
}

// folded is the same for names that differ only in case.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// entriesAt are those of a folder, if it is one.
func (w *work) entriesAt(ctx context.Context, root tree.ID, path string) ([]tree.Entry, error) {
	e, err := w.trees.Find(ctx, root, path)
	if err != nil || e == nil || e.Kind != tree.Folder {
		return nil, err
	}
	return w.trees.Entries(ctx, e.Folder)
}
