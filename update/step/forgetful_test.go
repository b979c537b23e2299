//go:build unix

package step_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// forgetful is a disk that notes what it does, to tell afterwards what a power
// cut at any time would have left: of names those of folders that were synced
// since, and any of the others; of files what was synced, and possibly a part
// of the rest.
type forgetful struct {
	durable.Disk
	log *[]func(*platter)
	ids map[string]int // of the files, by name
}

// newForgetful has noted the files in dir, which are durable.
func newForgetful(t *testing.T, dir string) forgetful {
	d := forgetful{unsynced{durable.OS}, new([]func(*platter)), map[string]int{}}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		f := file{mode: info.Mode().Perm(), dir: e.IsDir()}
		if !f.dir {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			f.written, f.synced = string(data), string(data)
		}
		f.syncedMode = f.mode
		id := d.id(path)
		d.note(func(p *platter) { p.files[id], p.names[path] = f, id })
		return nil
	}))
	return d
}

func (d forgetful) note(f func(*platter)) { *d.log = append(*d.log, f) }

// id is that of a file which just got its name.
func (d forgetful) id(path string) int {
	d.ids[path] = len(d.ids) + 1
	return d.ids[path]
}

func (d forgetful) Create(path string) (durable.File, error) {
	f, err := d.Disk.Create(path)
	if err != nil {
		return nil, err
	}
	d.ids[path+fmt.Sprint(len(*d.log))] = 0 // so that no id comes twice
	id := d.id(path)
	d.note(func(p *platter) { p.files[id] = file{mode: 0o600, syncedMode: 0o600}; p.rename(path, id) })
	return forgetfulFile{f, d, id}, nil
}

func (d forgetful) Append(path string) (durable.File, error) {
	f, err := d.Disk.Append(path)
	return forgetfulFile{f, d, d.ids[path]}, err
}

func (d forgetful) Mkdir(path string) error {
	if err := d.Disk.Mkdir(path); err != nil {
		return err
	}
	id := d.id(path)
	d.note(func(p *platter) { p.files[id] = file{mode: 0o700, syncedMode: 0o700, dir: true}; p.rename(path, id) })
	return nil
}

func (d forgetful) Link(path, name string) error {
	if err := d.Disk.Link(path, name); err != nil {
		return err
	}
	id := d.ids[path]
	d.ids[name] = id
	d.note(func(p *platter) { p.rename(name, id) })
	return nil
}

func (d forgetful) Rename(path, name string) error {
	if err := d.Disk.Rename(path, name); err != nil {
		return err
	}
	id := d.ids[path]
	d.ids[name] = id
	d.note(func(p *platter) { p.rename(name, id); p.rename(path, 0) })
	return nil
}

func (d forgetful) Remove(path string) error {
	if err := d.Disk.Remove(path); err != nil {
		return err
	}
	d.note(func(p *platter) { p.rename(path, 0) })
	return nil
}

func (d forgetful) SyncDir(dir string) error {
	d.note(func(p *platter) { p.sync(filepath.Clean(dir)) })
	return nil
}

type forgetfulFile struct {
	durable.File
	disk forgetful
	id   int
}

func (f forgetfulFile) change(change func(*file)) {
	f.disk.note(func(p *platter) {
		now := p.files[f.id]
		change(&now)
		p.files[f.id] = now
	})
}

func (f forgetfulFile) Write(data []byte) (int, error) {
	text := string(data)
	f.change(func(f *file) { f.written += text })
	return f.File.Write(data)
}

func (f forgetfulFile) Chmod(mode fs.FileMode) error {
	f.change(func(f *file) { f.mode = mode })
	return f.File.Chmod(mode)
}

func (f forgetfulFile) Sync() error {
	f.change(func(f *file) { f.synced, f.syncedMode = f.written, f.mode })
	return nil
}

// unsynced is a disk whose content need not survive anything.
type unsynced struct{ durable.Disk }

func (unsynced) SyncDir(string) error { return nil }

func (d unsynced) Create(path string) (durable.File, error) {
	f, err := d.Disk.Create(path)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ durable.File }

func (unsyncedFile) Sync() error { return nil }

// file is what a platter has of a file or folder.
type file struct {
	written, synced  string
	mode, syncedMode fs.FileMode
	dir              bool
}

// platter is what a disk would have kept after a part of a log.
type platter struct {
	files   map[int]file
	names   map[string]int // durable
	pending []naming       // names given and taken since their folder was synced
	run     *update.Run    // as the journal has it, which forgets nothing
}

type naming struct {
	path string
	id   int // 0: taken
}

func newPlatter() *platter { return &platter{files: map[int]file{}, names: map[string]int{}} }

func (p *platter) rename(path string, id int) { p.pending = append(p.pending, naming{path, id}) }

func (p *platter) sync(dir string) {
	p.pending = slices.DeleteFunc(p.pending, func(n naming) bool {
		if filepath.Dir(n.path) != dir {
			return false
		}
		name(p.names, n)
		return true
	})
}

func name(names map[string]int, n naming) {
	if n.id == 0 {
		delete(names, n.path)
	} else {
		names[n.path] = n.id
	}
}

// maxPending bounds the subsets that are looked at: all of them.
const maxPending = 10

// remains calls f for every folder that a power cut may leave now.
func (p *platter) remains(t *testing.T, f func(names map[string]int, files map[int]file)) {
	t.Helper()
	require.LessOrEqual(t, len(p.pending), maxPending)
	torn := map[int]file{}
	for id, f := range p.files {
		half := len(f.synced) + (len(f.written)-len(f.synced))/2
		torn[id] = file{synced: f.written[:max(half, 0)], syncedMode: f.mode, dir: f.dir}
	}
	for set := range 1 << len(p.pending) {
		names := maps.Clone(p.names)
		for i, n := range p.pending {
			if set&(1<<i) != 0 {
				name(names, n)
			}
		}
		f(names, p.files)
		f(names, torn)
	}
}

// describe tells a folder from another.
func describe(names map[string]int, files map[int]file) string {
	var all []string
	for path, id := range names {
		all = append(all, fmt.Sprintf("%s %d %o %q", path, id, files[id].syncedMode, files[id].synced))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// restore makes dir hold what is left of it.
func restore(t *testing.T, dir string, names map[string]int, files map[int]file) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	first := map[int]string{}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil || path == dir {
			continue // the folder is gone, and all that is in it
		}
		id := names[path]
		f := files[id]
		switch {
		case f.dir:
			require.NoError(t, os.Mkdir(path, f.syncedMode))
		case first[id] != "":
			require.NoError(t, os.Link(first[id], path))
		default:
			require.NoError(t, os.WriteFile(path, []byte(f.synced), 0o600))
			require.NoError(t, os.Chmod(path, f.syncedMode))
			first[id] = path
		}
	}
}

// remembering is a journal that tells a forgetful disk what it keeps.
type remembering struct {
	update.Journal
	disk forgetful
}

func (j remembering) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	stored, err := j.Journal.Create(ctx, r, events...)
	j.keep(ctx, stored, err)
	return stored, err
}

func (j remembering) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	stored, err := j.Journal.Save(ctx, r, events...)
	j.keep(ctx, stored, err)
	return stored, err
}

func (j remembering) keep(ctx context.Context, stored update.Run, err error) {
	if err != nil {
		return
	}
	run, err := j.Journal.Get(ctx, stored.ID)
	if err != nil {
		panic(err)
	}
	j.disk.note(func(p *platter) { p.run = &run })
}
