package sync

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// one reports whether a tree of files has one entry by some names that differ.
func (c Caps) one() bool { return !c.CaseSensitive || c.Normal != nil }

// form is the same for the names that this tree of files takes for one.
func (c Caps) form(name string) string {
	name = c.normal(name)
	if !c.CaseSensitive {
		name = folded(name)
	}
	return name
}

// normal is Normal, of names or of a text that has some.
func (c Caps) normal(text string) string {
	if c.Normal == nil {
		return text
	}
	return c.Normal(text)
}

// folded is the same for names that differ only in case.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// clashes finds what a tree of files cannot hold beside something else: of the names
// that are one here the one that is here already, or else the first, is kept.
func (w *work) clashes(ctx context.Context, ours, merged tree.ID, changes []tree.Change) error {
	if !w.caps.one() {
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
	kept := make(map[string]string) // by the form of the name
	for path := range w.masked {
		if above, name := split(path); above == folder {
			kept[w.caps.form(name)] = name
		}
	}
	for _, e := range all {
		if _, masked := w.masked[tree.Join(folder, e.Name)]; !masked && entryOf(here, e.Name) != nil {
			kept[w.caps.form(e.Name)] = e.Name
		}
	}
	for _, e := range all {
		name, taken := kept[w.caps.form(e.Name)]
		switch {
		case !taken:
			kept[w.caps.form(e.Name)] = e.Name
		case name != e.Name:
			w.leave(tree.Join(folder, e.Name), givesWay(e.Name, tree.Join(folder, name)))
		}
	}
}

// givesWay says why a name cannot be had beside a path.
func givesWay(name, path string) string {
	if _, other := split(path); folded(name) != folded(other) {
		return "its name differs only in its Unicode form from " + path
	}
	return "its name differs only in case from " + path
}

// renamed are the files of a folder by the names that the tree has for them: of one
// that this tree of files gives back in another form the base has it, or else the
// remote. It uses up the files.
func (w *work) renamed(ctx context.Context, folder string, was []tree.Entry, files []File) ([]File, error) {
	if w.caps.Normal == nil {
		return files, nil
	}
	here := make(map[string]bool)
	for _, f := range files {
		_, name := split(f.Path)
		here[name] = true
	}
	for _, known := range []func() ([]tree.Entry, error){
		func() ([]tree.Entry, error) { return was, nil },
		func() ([]tree.Entry, error) { return w.entriesAt(ctx, w.head.Root, folder) },
	} {
		var names map[string]string // by their form
		for i, f := range files {
			_, name := split(f.Path)
			if entryOf(was, name) != nil {
				continue
			}
			if names == nil {
				entries, err := known()
				if err != nil {
					return nil, err
				}
				names = namesBy(entries, w.caps.Normal)
			}
			if as := names[w.caps.Normal(name)]; as != "" && !here[as] {
				here[as], files[i].Path = true, tree.Join(folder, as)
			}
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// beside returns what says which entry of a folder, that is here, takes the place of
// one that is not, or "". They are one here, and nobody has deleted anything.
func (w *work) beside(was []tree.Entry, here map[string]bool) func(name string) string {
	names := sync.OnceValue(func() map[string]string {
		return namesBy(slices.DeleteFunc(slices.Clone(was), func(e tree.Entry) bool { return !here[e.Name] }), w.caps.form)
	})
	return func(name string) string {
		if !w.caps.one() {
			return ""
		}
		return names()[w.caps.form(name)]
	}
}

// namesBy are the names of entries by their form, the first of each.
func namesBy(entries []tree.Entry, form func(name string) string) map[string]string {
	names := make(map[string]string)
	for _, e := range entries {
		if f := form(e.Name); names[f] == "" {
			names[f] = e.Name
		}
	}
	return names
}

// entriesAt are those of a folder, if it is one.
func (w *work) entriesAt(ctx context.Context, root tree.ID, path string) ([]tree.Entry, error) {
	e, err := w.trees.Find(ctx, root, path)
	if err != nil || e == nil || e.Kind != tree.Folder {
		return nil, err
	}
	return w.trees.Entries(ctx, e.Folder)
}
