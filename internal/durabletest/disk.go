// Package durabletest has a disk for tests of what survives a power cut.
package durabletest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
)

// Disk notes what is done by it, to tell afterwards what a power cut at any
// time would have left: of names those of folders that were synced since, and
// any of the others; of files what was synced, and possibly a part of the rest.
// It makes nothing durable, which takes time. It is safe for concurrent use.
type Disk struct {
	durable.Disk
	dir string

	mu    sync.Mutex
	log   []func(*platter)
	began int            // so much of log is what there was at first
	ids   map[string]int // of the files, by name
	last  int            // id that was given
}

// Unsynced is a disk whose content need not survive anything.
var Unsynced durable.Disk = unsynced{durable.OS}

// New has noted the files in dir, which are durable.
func New(t testing.TB, dir string) *Disk {
	d := &Disk{Disk: Unsynced, dir: dir, ids: map[string]int{}}
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
	d.began = len(d.log)
	return d
}

// Remember notes that something else which forgets nothing, such as a database,
// has this state now.
func (d *Disk) Remember(state any) {
	d.note(func(p *platter) { p.state, p.states = state, p.states+1 })
}

// EachCut makes the folder hold, one after the other, what a power cut at any time
// may have left of it, and calls f each time with what was remembered then, or nil.
// That is any of the names given and taken since their folder was synced; all of
// what was written at the end of files, half of it, or none; and of one file at a
// time any of the last six writes in place, or the last of them torn.
func (d *Disk) EachCut(t testing.TB, f func(state any)) {
	t.Helper()
	seen := map[string]bool{}
	p := &platter{files: map[int]file{}, names: map[string]int{}}
	for i, happens := range d.log {
		happens(p)
		if i < d.began-1 {
			continue // the beginning is still being told
		}
		p.remains(t, func(names map[string]int, files map[int]file) {
			key := fmt.Sprintf("%d\n%s", p.states, describe(names, files))
			if !seen[key] {
				seen[key] = true
				restore(t, d.dir, names, files)
				f(p.state)
			}
		})
	}
	require.Greater(t, len(seen), 5)
	t.Logf("%d different folders after %d events", len(seen), len(d.log))
}

func (d *Disk) note(f func(*platter)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, f)
}

// known is the id of the file that has a name.
func (d *Disk) known(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids[path]
}

// alias gives the file at path one more name, and returns its id.
func (d *Disk) alias(path, name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[name] = d.ids[path]
	return d.ids[name]
}

// id is that of a file which just got its name.
func (d *Disk) id(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.ids[path] = d.last
	return d.last
}

// Create notes a new file, which is empty.
func (d *Disk) Create(path string) (durable.File, error) {
	f, err := d.Disk.Create(path)
	if err != nil {
		return nil, err
	}
	id := d.id(path)
	d.note(func(p *platter) { p.files[id] = file{mode: 0o600, syncedMode: 0o600}; p.rename(path, id) })
	return noted{f, d, id}, nil
}

// Append notes what is written at the end of a file.
func (d *Disk) Append(path string) (durable.File, error) {
	f, err := d.Disk.Append(path)
	return noted{f, d, d.known(path)}, err
}

// Mkdir notes a new folder.
func (d *Disk) Mkdir(path string) error {
	if err := d.Disk.Mkdir(path); err != nil {
		return err
	}
	id := d.id(path)
	d.note(func(p *platter) { p.files[id] = file{mode: 0o700, syncedMode: 0o700, dir: true}; p.rename(path, id) })
	return nil
}

// Link notes another name of a file.
func (d *Disk) Link(path, name string) error {
	if err := d.Disk.Link(path, name); err != nil {
		return err
	}
	id := d.alias(path, name)
	d.note(func(p *platter) { p.rename(name, id) })
	return nil
}

// Rename notes a name that is given, and one that is taken.
func (d *Disk) Rename(path, name string) error {
	if err := d.Disk.Rename(path, name); err != nil {
		return err
	}
	id := d.alias(path, name)
	d.note(func(p *platter) { p.rename(name, id); p.rename(path, 0) })
	return nil
}

// Remove notes a name that is taken.
func (d *Disk) Remove(path string) error {
	if err := d.Disk.Remove(path); err != nil {
		return err
	}
	d.note(func(p *platter) { p.rename(path, 0) })
	return nil
}

// SyncDir notes that the names in a folder are durable.
func (d *Disk) SyncDir(dir string) error {
	d.note(func(p *platter) { p.sync(filepath.Clean(dir)) })
	return nil
}

// noted is a file that is written at its end.
type noted struct {
	durable.File
	disk *Disk
	id   int
}

// change notes what becomes of a file.
func (d *Disk) change(id int, change func(*file)) {
	d.note(func(p *platter) {
		now := p.files[id]
		change(&now)
		p.files[id] = now
	})
}

func (f noted) Write(data []byte) (int, error) {
	text := string(data)
	f.disk.change(f.id, func(f *file) { f.written += text })
	return f.File.Write(data)
}

func (f noted) Chmod(mode fs.FileMode) error {
	f.disk.change(f.id, func(f *file) { f.mode = mode })
	return f.File.Chmod(mode)
}

func (f noted) Sync() error {
	f.disk.change(f.id, (*file).sync)
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

// Region opens a file in the folder, as durable.OpenRegion does, that is written
// in place.
func (d *Disk) Region(path string) (durable.Region, error) {
	r, err := durable.OpenRegion(path, true)
	return region{r, d, d.known(path)}, err
}

type region struct {
	durable.Region
	disk *Disk
	id   int
}

func (r region) WriteAt(p []byte, off int64) (int, error) {
	n, err := r.Region.WriteAt(p, off)
	if n > 0 {
		w := write{int(off), string(p[:n])}
		r.disk.change(r.id, func(f *file) { f.written, f.inPlace = w.in(f.written), append(slices.Clip(f.inPlace), w) })
	}
	return n, err
}

func (r region) Sync() error {
	r.disk.change(r.id, (*file).sync)
	return nil
}
