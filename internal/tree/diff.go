package tree

import (
	"cmp"
	"context"
	"iter"
)

// Change is what differs at one path. Old or New is nil if there was, or is,
// nothing.
type Change struct {
	Path     string
	Old, New *Entry
}

// Diff yields what differs from one tree to another, in the order in which it can
// be done: a folder comes before what is new in it and after what goes from it.
// Times alone make no difference, and folders differ by their permissions alone.
// It reads only what is not the same, and stops after an error.
func (t Trees) Diff(ctx context.Context, from, to ID) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		d := differ{Trees: t, yield: yield}
		if err := d.folder(ctx, "", from, to); err != nil && !d.left {
			yield(Change{}, err)
		}
	}
}

type differ struct {
	Trees
	yield func(Change, error) bool
	left  bool // the caller wants no more
}

func (d *differ) folder(ctx context.Context, path string, from, to ID) error {
	if from == to || d.left {
		return nil
	}
	old, err := d.Entries(ctx, from)
	if err != nil {
		return err
	}
	fresh, err := d.Entries(ctx, to)
	if err != nil {
		return err
	}
	for _, e := range together(old, fresh) {
		if err := d.entry(ctx, Join(path, e.name), e.all[0], e.all[1]); err != nil || d.left {
			return err
		}
	}
	return nil
}

func (d *differ) entry(ctx context.Context, path string, old, fresh *Entry) error {
	from, to := folderOf(old), folderOf(fresh)
	both := isFolder(old) && isFolder(fresh)
	if isFolder(old) && !both {
		if err := d.folder(ctx, path, from, ID{}); err != nil {
			return err
		}
	}
	if differs := !Same(old, fresh); differs && (!both || old.Mode != fresh.Mode) && !d.left {
		d.left = !d.yield(Change{path, old, fresh}, nil)
	}
	switch {
	case both:
		return d.folder(ctx, path, from, to)
	case isFolder(fresh):
		return d.folder(ctx, path, ID{}, to)
	}
	return nil
}

func isFolder(e *Entry) bool { return e != nil && e.Kind == Folder }

// folderOf is the empty folder of what is none.
func folderOf(e *Entry) ID {
	if isFolder(e) {
		return e.Folder
	}
	return ID{}
}

// Join is the path of what has a name in a folder, of which "" is the path of the
// outermost.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// named are the entries that some folders have by one name, or nil.
type named struct {
	name string
	all  [3]*Entry
}

// together goes through sorted folders, three at most, name by name.
func together(folders ...[]Entry) (all []named) {
	for {
		var next *string
		for _, f := range folders {
			if len(f) > 0 && (next == nil || cmp.Less(f[0].Name, *next)) {
				next = &f[0].Name
			}
		}
		if next == nil {
			return all
		}
		n := named{name: *next}
		for i, f := range folders {
			if len(f) > 0 && f[0].Name == n.name {
				n.all[i], folders[i] = &f[0], f[1:]
			}
		}
		all = append(all, n)
	}
}
