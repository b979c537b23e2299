package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// List implements sync.Remote. It is never behind. It has the names of one folder
// at a time in memory, and those of the folders above.
func (r *Remote) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		done, err := r.enter(ctx)
		if err != nil {
			yield(cloudsync.Object{}, err)
			return
		}
		defer done()
		begin := prefix[:strings.LastIndex(prefix, "/")+1]
		if begin != "" && cloudsync.CheckName(strings.TrimSuffix(begin, "/")) != nil {
			return // no object has such a name
		}
		l := &list{r, ctx, prefix, after, yield}
		if err := l.folder(folderOf(begin), begin); err != nil && !errors.Is(err, errLeft) {
			yield(cloudsync.Object{}, err)
		}
	}
}

// errLeft reports that who reads a list has left it.
var errLeft = errors.New("left")

type list struct {
	*Remote
	ctx    context.Context // of one reading
	prefix string
	after  string
	yield  func(cloudsync.Object, error) bool
}

// folder yields what a folder has, whose objects have names that begin so.
func (l *list) folder(folder, begin string) error {
	var entries []entry
	err := l.names(folder, func(name string) {
		e, ours := meaning(name)
		if e.key = begin + e.key; ours && l.has(e) {
			entries = append(entries, e)
		}
	})
	if err != nil {
		return failed("listing", err)
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, e := range entries {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if e.file {
			err = l.object(folder+e.name, e.key)
		} else {
			err = l.folder(folder+e.name+"/", e.key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// has reports whether an entry of a folder is an object of the list, or may have
// some.
func (l *list) has(e entry) bool {
	if e.file {
		return e.key > l.after && strings.HasPrefix(e.key, l.prefix) && cloudsync.CheckName(e.key) == nil
	}
	return (e.key > l.after || strings.HasPrefix(l.after, e.key)) &&
		(strings.HasPrefix(e.key, l.prefix) || strings.HasPrefix(l.prefix, e.key))
}

func (l *list) object(path, name string) error {
	info, err := l.root.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		return nil // it has gone, or is not ours
	case err != nil:
		return failed("listing", err)
	}
	if !l.yield(cloudsync.Object{Name: name, Size: info.Size(), Time: info.ModTime().UTC()}, nil) {
		return errLeft
	}
	return nil
}

// names calls f with the names in a folder. What is no folder has none.
func (r *Remote) names(folder string, f func(name string)) error {
	d, err := r.root.OpenFile("./"+folder, os.O_RDONLY|onlyFolder, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close() // nothing was written
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			f(name)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
