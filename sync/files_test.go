package sync_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/nfd"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// disk is a tree of files in memory. Its clock ticks seldom, so that two edits
// may have one time, as on a real one.
type disk struct {
	all   map[string]*node
	dull  bool  // it knows no case
	nfd   bool  // it decomposes names, as an older file system of macOS does
	vague bool  // its clock cannot be asked
	now   int64 // ticks of the clock, times eight
	born  int   // files so far
}

type node struct {
	mode    fs.FileMode
	content string // or the target of a link
	inode   int
	changed int64 // by the clock
	mtime   int64
}

func newDisk() *disk { return &disk{all: make(map[string]*node)} }

func (d *disk) tick() int64 { return d.now / 8 }

// write makes or changes a file, in place if it is there.
func (d *disk) write(path, content string) {
	path = d.real(path)
	d.now++
	n := d.all[path]
	if n == nil || !n.mode.IsRegular() {
		d.remove(path)
		d.above(path)
		d.born++
		n = &node{mode: 0o644, inode: d.born}
		d.all[path] = n
	}
	n.content, n.changed, n.mtime = content, d.tick(), d.tick()
}

// one reports whether two paths are one here.
func (d *disk) one(a, b string) bool {
	if d.nfd {
		a, b = nfd.Form(a), nfd.Form(b)
	}
	return a == b || d.dull && strings.EqualFold(a, b)
}

// real is a path as it is spelt here, as far as it is there.
func (d *disk) real(path string) string {
	if d.nfd {
		path = nfd.Form(path)
	}
	if !d.dull || d.all[path] != nil {
		return path
	}
	for i := range len(path) + 1 {
		if i < len(path) && path[i] != '/' {
			continue
		}
		for other := range d.all {
			if len(other) == i && d.one(other, path[:i]) {
				path = other + path[i:]
			}
		}
	}
	return path
}

// above makes the folders above a path.
func (d *disk) above(path string) {
	for i, b := range []byte(path) {
		if b == '/' {
			d.folder(path[:i])
		}
	}
}

func (d *disk) folder(path string) {
	if n := d.all[path]; n == nil || !n.mode.IsDir() {
		delete(d.all, path)
		d.born++
		d.all[path] = &node{mode: fs.ModeDir | 0o755, inode: d.born}
	}
}

// remove deletes a path and what is below.
func (d *disk) remove(path string) {
	path = d.real(path)
	d.now++
	maps.DeleteFunc(d.all, func(other string, _ *node) bool { return other == path || strings.HasPrefix(other, path+"/") })
}

// rename moves a path and what is below.
func (d *disk) rename(from, to string) {
	from, to = d.real(from), d.real(to)
	moved := make(map[string]*node)
	for path, n := range d.all {
		if path == from || strings.HasPrefix(path, from+"/") {
			moved[to+strings.TrimPrefix(path, from)] = n
		}
	}
	if len(moved) == 0 || strings.HasPrefix(to+"/", from+"/") {
		return
	}
	d.remove(from)
	d.remove(to)
	d.above(to)
	for path, n := range moved {
		n.changed = d.tick()
		d.all[path] = n
	}
}

func (d *disk) file(path string, n *node) cloudsync.File {
	f := cloudsync.File{
		Path: path, Mode: n.mode, Tag: fmt.Sprint(n.inode, " ", n.changed),
		ModTime: time.Unix(n.mtime, 0), Recent: n.changed >= d.tick(),
	}
	switch {
	case n.mode.IsRegular():
		f.Size = int64(len(n.content))
	case n.mode&fs.ModeSymlink != 0:
		f.Link = n.content
	}
	return f
}

func valid(path string) error {
	if path == "." || !fs.ValidPath(path) {
		return fmt.Errorf("%w: path %q", cloudsync.ErrInvalid, path)
	}
	return nil
}

// mount is a disk as a process sees it.
type mount struct {
	*disk
	p    *process
	caps cloudsync.Caps
}

func (m mount) Caps(context.Context) (cloudsync.Caps, error) {
	c := m.caps
	if !m.vague {
		c.Now = time.Unix(m.tick(), 0)
	}
	return c, nil
}

func (m mount) List(_ context.Context, folder string) iter.Seq2[cloudsync.File, error] {
	return func(yield func(cloudsync.File, error) bool) {
		var files []cloudsync.File
		err := m.p.call(func() error {
			folder := m.real(folder)
			if n := m.all[folder]; folder != "" && (n == nil || !n.mode.IsDir()) {
				return cloudsync.ErrNotFound
			}
			for _, path := range slices.Sorted(maps.Keys(m.all)) {
				name, below := strings.CutPrefix(path, folder+"/")
				if folder == "" {
					name, below = path, path != cloudsync.Staging
				}
				if below && !strings.Contains(name, "/") {
					files = append(files, m.file(path, m.all[path]))
				}
			}
			return nil
		})
		if err != nil {
			yield(cloudsync.File{}, err)
			return
		}
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (m mount) Stat(_ context.Context, path string) (f cloudsync.File, err error) {
	err = m.p.call(func() error {
		if err := valid(path); err != nil {
			return err
		}
		n := m.all[m.real(path)]
		if n == nil {
			return cloudsync.ErrNotFound
		}
		f = m.file(path, n)
		return nil
	})
	return f, err
}

func (m mount) Open(_ context.Context, path string) (r io.ReadCloser, err error) {
	err = m.p.call(func() error {
		n := m.all[m.real(path)]
		if err := valid(path); err != nil {
			return err
		}
		if n == nil || !n.mode.IsRegular() {
			return cloudsync.ErrNotFound
		}
		r = io.NopCloser(strings.NewReader(n.content))
		return nil
	})
	return r, err
}

func (m mount) Stage(_ context.Context, f cloudsync.File, content io.Reader) error {
	text := f.Link
	if err := valid(f.Path); err != nil {
		return err
	}
	if content != nil {
		data, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		text = string(data)
	}
	return m.p.call(func() error {
		m.remove(f.Path)
		m.above(f.Path)
		m.born++
		m.all[f.Path] = &node{mode: f.Mode, content: text, inode: m.born, changed: m.tick(), mtime: f.ModTime.Unix()}
		return nil
	})
}

func (m mount) Place(_ context.Context, staged, path string) (f cloudsync.File, err error) {
	err = m.p.call(func() error {
		n := m.all[staged]
		if err := valid(path); err != nil {
			return err
		}
		if n == nil {
			return fmt.Errorf("%w: %s", cloudsync.ErrNotFound, staged)
		}
		path := m.real(path)
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			if above := m.all[path[:i]]; above == nil || !above.mode.IsDir() {
				return cloudsync.ErrNotFound
			}
		}
		m.now++
		out := m.all[path]
		if out != nil && out.mode.IsDir() {
			return cloudsync.ErrExists
		}
		delete(m.all, staged)
		if out != nil {
			out.changed = m.tick()
			m.all[staged] = out
		}
		n.changed = m.tick()
		m.all[path] = n
		f = m.file(path, n)
		return nil
	})
	return f, err
}

func (m mount) Remove(_ context.Context, path, staged string) error {
	return m.p.call(func() error {
		path := m.real(path)
		n := m.all[path]
		if err := errors.Join(valid(path), valid(cmp.Or(staged, "x"))); err != nil {
			return err
		}
		if n == nil {
			return cloudsync.ErrNotFound
		}
		for below := range m.all {
			if strings.HasPrefix(below, path+"/") {
				return cloudsync.ErrNotEmpty
			}
		}
		m.now++
		delete(m.all, path)
		if staged != "" {
			m.above(staged)
			n.changed = m.tick()
			m.all[staged] = n
		}
		return nil
	})
}

func (m mount) Flush(context.Context) error { return m.p.call(func() error { return nil }) }
