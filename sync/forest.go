package sync

import (
	"context"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// forest has the folders of all trees that one sync looks at: what it has made,
// the base, and what is in the remote.
type forest struct {
	r    *repository
	live *places
	made map[tree.ID][]byte // or read
	// notes: what is made or read is noted, and not in memory. The next base that is
	// noted ends what is no folder of it.
	notes bool
}

// errLost is the ErrCorrupt of what no index has: it was damaged, and is gone.
var errLost = fmt.Errorf("%w: no index has", ErrCorrupt)

// Get implements tree.Objects.
func (f *forest) Get(ctx context.Context, id tree.ID) ([]byte, error) {
	if object, ok := f.made[id]; ok {
		return object, nil
	}
	object, err := f.r.notes.read(ctx, keyTree+id.String())
	if object == nil && err == nil {
		object, err = f.read(ctx, id)
	}
	return object, err
}

// read reads the whole pack that has a folder: there will be others of its tree.
func (f *forest) read(ctx context.Context, id tree.ID) (object []byte, err error) {
	if err := f.live.read(ctx); err != nil {
		return nil, err
	}
	in, _, ok := f.live.find(id)
	if !ok {
		return nil, fmt.Errorf("%w folder %s", errLost, id)
	}
	pack, err := f.r.get(ctx, in.name, maxPack)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	_, blobs := f.live.blobs(in.name)
	for _, b := range blobs {
		content, err := open(f.r.seal, in, b, pack)
		switch {
		case err != nil && b.ID == id:
			return nil, fmt.Errorf("%s: %w", in.name, err)
		case err != nil:
			continue
		case b.ID == id:
			object = content
		}
		if b.ID != id && f.notes && !tree.IsObject(content) {
			continue // of a file
		}
		if err := f.keep(ctx, b.ID, content); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// open returns a content of a pack.
func open(s Sealer, in packed, b Blob, pack []byte) ([]byte, error) {
	end := b.Offset + int64(b.Length)
	if end > int64(len(pack)) {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, in.name, len(pack))
	}
	return s.OpenBlob(nil, in.header, b, pack[b.Offset:end])
}

// Put implements tree.Objects.
func (f *forest) Put(ctx context.Context, object []byte) (tree.ID, error) {
	id := tree.ID(f.r.seal.ID(object))
	return id, f.keep(ctx, id, object)
}

func (f *forest) keep(ctx context.Context, id tree.ID, object []byte) error {
	if f.notes {
		return f.r.notes.later(ctx, Entry{keyTree + id.String(), object})
	}
	f.made[id] = object
	return nil
}

// save are the notes by which a tree is the base: its folders, and no others.
func (f *forest) save(ctx context.Context, root tree.ID) ([]Entry, error) {
	needed := make(map[tree.ID]bool)
	entries := []Entry{{keyBase, []byte(root.String())}}
	err := f.walk(ctx, root, func(id tree.ID, object []byte) (bool, error) {
		if needed[id] {
			return false, nil
		}
		needed[id] = true
		if _, inMemory := f.made[id]; inMemory {
			entries = append(entries, Entry{keyTree + id.String(), object})
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	is := func(key string) bool {
		var id tree.ID
		return id.UnmarshalText([]byte(key[len(keyTree):])) == nil && needed[id]
	}
	f.r.notes.forget(keyTree, is)
	for e, err := range f.r.notes.spread(ctx, keyTree) {
		if err != nil {
			return nil, err
		}
		if !is(e.Key) {
			entries = append(entries, Entry{Key: e.Key})
		}
	}
	return entries, nil
}

// unsaved are the notes that are missing of the folders of a tree. Another one is
// noted already.
func (f *forest) unsaved(ctx context.Context, noted, root tree.ID) (entries []Entry, err error) {
	err = f.beyond(ctx, noted, root, func(id tree.ID, object []byte) error {
		if _, inMemory := f.made[id]; inMemory {
			entries = append(entries, Entry{keyTree + id.String(), object})
		}
		return nil
	})
	return entries, err
}

// beyond calls visit with each object of a tree that another one does not have in
// its place.
func (f *forest) beyond(ctx context.Context, other, root tree.ID, visit func(tree.ID, []byte) error) error {
	if root == other || root == (tree.ID{}) {
		return nil
	}
	object, err := f.Get(ctx, root)
	if err == nil {
		err = visit(root, object)
	}
	if err != nil {
		return err
	}
	pages, err := tree.Pages(object)
	if err != nil {
		return err
	}
	for _, id := range pages {
		object, err := f.Get(ctx, id)
		if err == nil {
			err = visit(id, object)
		}
		if err != nil {
			return err
		}
	}
	trees := tree.Trees{Objects: f}
	was, err := trees.Entries(ctx, other)
	if err != nil {
		return err
	}
	entries, err := trees.Entries(ctx, root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Kind != tree.Folder {
			continue
		}
		var before tree.ID
		if old := entryOf(was, e.Name); old != nil {
			before = old.Folder
		}
		if err := f.beyond(ctx, before, e.Folder, visit); err != nil {
			return err
		}
	}
	return nil
}

// walk calls visit with each object of a tree, and with those below where it
// wants more.
func (f *forest) walk(ctx context.Context, root tree.ID, visit func(tree.ID, []byte) (more bool, err error)) error {
	return f.walkPast(ctx, root, func(_ tree.ID, err error) error { return err }, visit)
}

// walkPast is a walk that asks miss what to do about an object that cannot be
// read: nil goes past it, and all that is below.
func (f *forest) walkPast(ctx context.Context, root tree.ID, miss func(tree.ID, error) error, visit func(tree.ID, []byte) (more bool, err error)) error {
	if root == (tree.ID{}) {
		return nil
	}
	object, err := f.Get(ctx, root)
	if err != nil {
		return miss(root, err)
	}
	more, err := visit(root, object)
	if err != nil || !more {
		return err
	}
	below, err := tree.Below(object)
	if err != nil {
		return err
	}
	for _, id := range below {
		if err := f.walkPast(ctx, id, miss, visit); err != nil {
			return err
		}
	}
	return nil
}
