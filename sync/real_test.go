package sync_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// counted is a remote whose requests are noted.
type counted struct {
	cloudsync.Remote
	said []string
}

func (c *counted) note(kind, name string) {
	folder, _, _ := strings.Cut(name, "/")
	c.said = append(c.said, kind+" "+folder)
}

func (c *counted) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	c.note("put", name)
	return c.Remote.PutIfAbsent(ctx, name, body)
}

func (c *counted) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	c.note("get", name)
	return c.Remote.Get(ctx, name, off, n)
}

func (c *counted) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	c.note("list", prefix)
	return c.Remote.List(ctx, prefix, after)
}

// folder is one of the system on some device.
type folder struct {
	testing.TB
	dir    string
	files  *cloudsync.LocalFiles
	notes  map[string][]byte
	remote *counted
}

func newFolder(t testing.TB, c *cloud) *folder {
	f := &folder{TB: t, dir: t.TempDir(), notes: make(map[string][]byte), remote: &counted{Remote: use{c, new(process)}}}
	f.files = cloudsync.Dir(f.dir)
	t.Cleanup(func() { require.NoError(t, f.files.Close()) })
	return f
}

func (f *folder) write(path, content string) {
	name := filepath.Join(f.dir, path)
	require.NoError(f, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(f, os.WriteFile(name, []byte(content), 0o644))
}

func (f *folder) sync() (said string) {
	f.Helper()
	f.remote.said = nil
	e := cloudsync.NewEngine(cloudsync.EngineConfig{
		Device: filepath.Base(f.dir), Files: f.files, Remote: f.remote, Store: &notes{f.notes, new(process)}, Sealer: plain{},
		Parallel: 1,
	})
	_, err := e.Sync(f.Context(), cloudsync.Request{})
	require.NoError(f, err)
	return strings.Join(f.remote.said, ", ")
}

// all is what the folder has, but for what is this package's own.
func (f *folder) all() map[string]string {
	all := make(map[string]string)
	require.NoError(f, filepath.WalkDir(f.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == f.dir {
			return err
		}
		path, _ := filepath.Rel(f.dir, name)
		if path == cloudsync.Staging {
			left, err := os.ReadDir(name)
			require.NoError(f, err)
			var names []string
			for _, e := range left {
				names = append(names, e.Name())
			}
			require.Equal(f, []string{"claim", "equals"}, names, "nothing but the lock and the mark stays staged")
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			all[path] = "folder"
		case d.Type() == fs.ModeSymlink:
			all[path], err = os.Readlink(name)
		default:
			var data []byte
			data, err = os.ReadFile(name)
			all[path] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), string(data))
		}
		return err
	}))
	return all
}

func TestFoldersOfTheSystemAreTheSame(t *testing.T) {
	c := newCloud()
	a, b := newFolder(t, c), newFolder(t, c)
	for i := range 200 {
		a.write(fmt.Sprintf("notes/%d/%d.md", i%7, i), strings.Repeat(fmt.Sprint(i, " "), i))
	}
	a.write("large", strings.Repeat("0123456789abcdef", 200_000))
	require.NoError(t, os.Chmod(filepath.Join(a.dir, "large"), 0o755))
	require.NoError(t, os.Symlink("large", filepath.Join(a.dir, "link")))
	require.NoError(t, os.Mkdir(filepath.Join(a.dir, "empty"), 0o755))
	a.sync()
	b.sync()
	require.Equal(t, a.all(), b.all())

	b.write("notes/3/3.md", "edited")
	require.NoError(t, os.RemoveAll(filepath.Join(b.dir, "notes/5")))
	require.NoError(t, os.Rename(filepath.Join(b.dir, "large"), filepath.Join(b.dir, "moved")))
	require.NoError(t, os.Remove(filepath.Join(b.dir, "link")))
	b.write("link/inside", "a folder now")
	b.sync()
	a.sync()
	a.sync() // what came out stays until then
	require.Equal(t, b.all(), a.all())
}

func TestFewRequestsAreMade(t *testing.T) {
	c := newCloud()
	a, b := newFolder(t, c), newFolder(t, c)
	for i := range 50 {
		a.write(fmt.Sprintf("%d/%d", i%5, i), fmt.Sprint(i))
	}
	require.Equal(t, "list heads, put packs, put index, put heads, list heads", a.sync())
	require.Equal(t, "list heads", a.sync(), "nothing has changed")
	require.Equal(t, "list heads, get heads, get index, get packs, get packs", b.sync(), "folders, then files")
	require.Equal(t, "list heads", b.sync(), "nothing has changed")
	b.write("3/3", "edited")
	b.write("new", "new")
	require.Equal(t, "list heads, get heads, put packs, put index, put heads, list heads", b.sync(), "the head may be another one")
	require.Equal(t, "list heads, get heads, get index, get packs, get packs", a.sync())
	require.NoError(t, os.Rename(filepath.Join(a.dir, "3"), filepath.Join(a.dir, "three")))
	require.Equal(t, "list heads, get heads, put packs, put index, put heads, list heads", a.sync())
	require.Equal(t, "list heads, get heads, get index, get packs", b.sync(), "what moves is not sent again")
}

func TestNotesOfFoldersThatHaveGoneGoToo(t *testing.T) {
	f := newFolder(t, newCloud())
	f.write("a/one", "1")
	f.write("b/c/two", "2")
	f.sync()
	count := func() (n int) { // but for what is noted once a file is not recent any more
		for key := range f.notes {
			if key != "seen" && !strings.HasPrefix(key, "scan/a") {
				n++
			}
		}
		return n
	}
	before := count()
	require.NoError(t, os.RemoveAll(filepath.Join(f.dir, "b")))
	f.sync()
	f.sync()
	for key := range f.notes {
		require.NotContains(t, key, "scan/b")
	}
	require.LessOrEqual(t, count(), before)
}
