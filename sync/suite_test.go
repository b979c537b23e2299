package sync_test

import (
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// typist works in a disk in memory.
type typist struct{ *disk }

func (p typist) Write(path, content string) { p.write(path, content) }
func (p typist) Folder(path string)         { p.above(path + "/") }
func (p typist) Remove(path string)         { p.remove(path) }

func (p typist) Link(path, target string) {
	p.born++
	p.all[path] = &node{mode: fs.ModeSymlink | 0o777, content: target, inode: p.born, changed: p.tick()}
}

func (p typist) Touch(path string, at time.Time) {
	p.now++
	p.all[path].mtime, p.all[path].changed = at.Unix(), p.tick()
}

func TestFilesInMemory(t *testing.T) {
	syncertest.RunFiles(t, syncertest.FilesHarness{Open: func(testing.TB) (cloudsync.Files, syncertest.Person) {
		d := newDisk()
		return mount{d, new(process), cloudsync.Caps{Modes: true, Symlinks: true, CaseSensitive: true}}, typist{d}
	}})
}

func TestFilesOfTheSystem(t *testing.T) {
	syncertest.RunFiles(t, syncertest.FilesHarness{RealTime: true, Open: func(t testing.TB) (cloudsync.Files, syncertest.Person) {
		dir := t.TempDir()
		files := cloudsync.Dir(dir)
		t.Cleanup(func() { require.NoError(t, files.Close()) })
		return files, syncertest.PersonIn(t, dir)
	}})
}
