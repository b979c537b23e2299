package tree

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// With returns the tree that has these entries, each by its path, or, for nil,
// nothing there, and is otherwise as it was. Folders that are missing above are
// made; a file that is there instead goes.
func (t Trees) With(ctx context.Context, root ID, at map[string]*Entry) (ID, error) {
	if len(at) == 0 {
		return root, nil
	}
	entries, err := t.Entries(ctx, root)
	if err != nil {
		return ID{}, err
	}
	inner := make(map[string]map[string]*Entry)
	own := make(map[string]*Entry)
	for path, e := range at {
		name, rest, deeper := strings.Cut(path, "/")
		if !deeper {
			own[name] = e
			continue
		}
		if inner[name] == nil {
			inner[name] = make(map[string]*Entry)
		}
		inner[name][rest] = e
	}
	merged := slices.Clone(entries)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		merged = Replace(merged, name, own[name])
	}
	for _, name := range slices.Sorted(maps.Keys(inner)) {
		if merged, err = t.within(ctx, merged, name, inner[name]); err != nil {
			return ID{}, err
		}
	}
	return t.Make(ctx, merged)
}

// within changes what is in the folder of a name.
func (t Trees) within(ctx context.Context, entries []Entry, name string, at map[string]*Entry) ([]Entry, error) {
	folder := Entry{Name: name, Kind: Folder, Mode: 0o755}
	i, found := Search(entries, name)
	if found && entries[i].Kind == Folder {
		folder = entries[i]
	} else if !slices.ContainsFunc(slices.Collect(maps.Values(at)), func(e *Entry) bool { return e != nil }) {
		return entries, nil // there is nothing to be taken away
	}
	id, err := t.With(ctx, folder.Folder, at)
	if err != nil {
		return nil, err
	}
	folder.Folder = id
	return Replace(entries, name, &folder), nil
}

// Replace puts an entry at the place of a name, or with nil takes away what is there.
// It uses up the entries.
func Replace(entries []Entry, name string, e *Entry) []Entry {
	i, found := Search(entries, name)
	switch {
	case e == nil && found:
		return slices.Delete(entries, i, i+1)
	case e == nil:
		return entries
	}
	fresh := *e
	fresh.Name = name
	if found {
		entries[i] = fresh
		return entries
	}
	return slices.Insert(entries, i, fresh)
}
