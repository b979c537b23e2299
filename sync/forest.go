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
	live places
	made map[tree.ID][]byte // or read
}

// errLost is the ErrCorrupt of what no index has: it was damaged, and is gone.
var errLost = fmt.Errorf("%w: no index has", ErrCorrupt)

// Get implements tree.Objects.
func (f *forest) Get(ctx context.Context, id tree.ID) ([]byte, error) {
	if object, ok := f.made[id]; ok {
		return object, nil
	}
	if object, ok := f.r.notes.notes[keyTree+id.String()]; ok {
		return object, nil
	}
	if err := f.read(ctx, id); err != nil {
		return nil, err
	}
	return f.made[id], nil
}

// read reads the whole pack that has a folder: there will be others of its tree.
func (f *forest) read(ctx context.Context, id tree.ID) error {
	in, _, ok := f.live.find(id)
	if !ok {
		return fmt.Errorf("%w folder %s", errLost, id)
	}
	pack, err := f.r.get(ctx, in.name, maxPack)
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	_, blobs := f.live.blobs(in.name)
	for _, b := range blobs {
		content, err := open(f.r.seal, in, b, pack)
		if err == nil {
			f.made[b.ID] = content
		} else if b.ID == id {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	return nil
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
func (f *forest) Put(_ context.Context, object []byte) (tree.ID, error) {
	id := tree.ID(f.r.seal.ID(object))
	f.made[id] = object
	return id, nil
}

// save are the notes by which a tree is the base: its folders, and no others.
func (f *forest) save(ctx context.Context, root tree.ID) ([]Entry, error) {
	needed := make(map[string]bool)
	entries := []Entry{{keyBase, []byte(root.String())}}
	err := f.walk(ctx, root, func(id tree.ID, object []byte) (bool, error) {
		key := keyTree + id.String()
		if needed[key] {
			return false, nil
		}
		needed[key] = true
		if _, kept := f.r.notes.notes[key]; !kept {
			entries = append(entries, Entry{key, object})
		}
		return true, nil
	})
	for key := range f.r.notes.notes {
		if len(key) == len(keyTree)+64 && key[:len(keyTree)] == keyTree && !needed[key] {
			entries = append(entries, Entry{Key: key})
		}
	}
	return entries, err
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
