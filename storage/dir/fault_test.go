//go:build unix

package dir_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/durabletest"
	"github.com/upkeep-go/upkeep/storage/dir"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// fresh are the files of what is being put.
func fresh(t testing.TB, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path, dir.Fresh))
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// bad is a disk whose calls go wrong.
type bad struct {
	durable.Disk
	link  func(path, name string) error
	write error
	sync  error
}

func (b *bad) Link(path, name string) error {
	if b.link == nil {
		return b.Disk.Link(path, name)
	}
	return b.link(path, name)
}

func (b *bad) SyncDir(dir string) error { return errors.Join(b.sync, b.Disk.SyncDir(dir)) }

func (b *bad) Create(path string) (durable.File, error) {
	f, err := b.Disk.Create(path)
	return badFile{f, b}, err
}

type badFile struct {
	durable.File
	b *bad
}

func (f badFile) Write(p []byte) (int, error) {
	if f.b.write != nil {
		return 0, f.b.write
	}
	return f.File.Write(p)
}

// on is a Remote on a disk that is made of the one of a directory.
func on(t testing.TB, path string, disk func(durable.Disk) durable.Disk) (*dir.Remote, error) {
	t.Helper()
	root, err := os.OpenRoot(path)
	require.NoError(t, err)
	r, err := dir.On(root, disk(durable.In(root)))
	if err == nil {
		t.Cleanup(func() { require.NoError(t, r.Close()) })
	}
	return r, err
}

// onBad is a Remote whose disk is sound at first.
func onBad(t testing.TB) (*dir.Remote, *bad, string) {
	t.Helper()
	b, path := new(bad), t.TempDir()
	r, err := on(t, path, func(d durable.Disk) durable.Disk { b.Disk = d; return b })
	require.NoError(t, err)
	return r, b, path
}

func put(t testing.TB, r cloudsync.Remote, name, content string) error {
	t.Helper()
	return r.PutIfAbsent(t.Context(), name, strings.NewReader(content))
}

func TestAFileSystemThatRefusesNoNameIsRefused(t *testing.T) {
	overwrites := func(d durable.Disk) durable.Disk { return &bad{Disk: d, link: d.Rename} }
	_, err := on(t, t.TempDir(), overwrites)
	require.ErrorIs(t, err, cloudsync.ErrUnsafe)

	pretends := func(d durable.Disk) durable.Disk {
		return &bad{Disk: d, link: func(path, name string) error {
			if err := d.Link(path, name); errors.Is(err, fs.ErrExist) {
				return errors.Join(d.Rename(path, name), err)
			}
			return nil
		}}
	}
	_, err = on(t, t.TempDir(), pretends)
	require.ErrorIs(t, err, cloudsync.ErrUnsafe)

	path := t.TempDir()
	root, err := os.OpenRoot(path)
	require.NoError(t, err)
	_, err = dir.Neither(root)
	require.ErrorIs(t, err, cloudsync.ErrUnsafe)
	require.Empty(t, fresh(t, path))
}

func TestWithoutLinksItRenames(t *testing.T) {
	path := t.TempDir()
	r, err := on(t, path, func(d durable.Disk) durable.Disk {
		return &bad{Disk: d, link: func(string, string) error { return &os.LinkError{Op: "link", Err: syscall.EPERM} }}
	})
	require.NoError(t, err)
	require.NoError(t, put(t, r, "d/one", "first"))
	require.ErrorIs(t, put(t, r, "d/one", "other"), cloudsync.ErrExists)
	require.Empty(t, fresh(t, path))
}

func TestALostAnswerOfALinkIsNoFailure(t *testing.T) {
	r, b, path := onBad(t)
	for _, lost := range []error{fs.ErrExist, syscall.EIO, fs.ErrNotExist} {
		b.link = func(path, name string) error { return errors.Join(b.Disk.Link(path, name), lost) }
		require.NoError(t, put(t, r, "one", "mine"), "%v", lost)
		require.NoError(t, r.Delete(t.Context(), "one"))
	}
	b.link = func(_, name string) error { // somebody else was faster
		require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte("theirs"), 0o600))
		return fs.ErrExist
	}
	require.ErrorIs(t, put(t, r, "one", "mine"), cloudsync.ErrExists)
	b.link = func(string, string) error { return syscall.EIO }
	require.ErrorIs(t, put(t, r, "two", "mine"), syscall.EIO)
	require.Empty(t, fresh(t, path))
}

func TestErrorsOfTheDiskHaveTheirNames(t *testing.T) {
	r, b, path := onBad(t)
	for _, tt := range []struct{ err, want error }{
		{syscall.ENOSPC, cloudsync.ErrFull}, {syscall.EDQUOT, cloudsync.ErrFull},
		{syscall.EACCES, cloudsync.ErrDenied}, {syscall.EROFS, cloudsync.ErrDenied}, {syscall.EIO, syscall.EIO},
	} {
		b.write = &os.PathError{Op: "write", Err: tt.err}
		err := put(t, r, "d/one", "content")
		require.ErrorIs(t, err, tt.want)
		require.ErrorIs(t, err, tt.err)
		_, err = r.Get(t.Context(), "d/one", 0, -1)
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	}
	b.write, b.sync = nil, syscall.EIO
	require.ErrorIs(t, put(t, r, "d/one", "content"), syscall.EIO)
	b.sync = nil
	require.NoError(t, put(t, r, "d/two", "content"))
	b.sync = syscall.EIO
	require.ErrorIs(t, put(t, r, "d/two", "content"), syscall.EIO, "nobody is told that it exists who cannot rely on it")
	require.ErrorIs(t, r.Delete(t.Context(), "d/two"), syscall.EIO)
	require.Empty(t, fresh(t, path))

	_, err := dir.Open(dir.Config{})
	require.ErrorIs(t, err, cloudsync.ErrInvalid)
	_, err = dir.Open(dir.Config{Path: filepath.Join(path, "no", "such")})
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
}

func TestWhoTidiesUpDisturbsNobody(t *testing.T) {
	r, _, path := onBad(t)
	require.NoError(t, put(t, r, "a/b/one", "content"))
	require.NoError(t, os.RemoveAll(filepath.Join(path, "a")))
	require.NoError(t, os.RemoveAll(filepath.Join(path, dir.Fresh)))
	require.NoError(t, put(t, r, "a/b/one", "content"))
	require.NoError(t, put(t, r, "a/b/two", "content"))
}

func TestOpenRemovesWhatWasLeftADayAgo(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, opened(t, path).Close())
	for name, age := range map[string]time.Duration{"OLD": 25 * time.Hour, "NEW": 23 * time.Hour} {
		name = filepath.Join(path, dir.Fresh, name)
		require.NoError(t, os.WriteFile(name, []byte("half"), 0o600))
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(name, at, at))
	}
	r := opened(t, path)
	require.Equal(t, []string{"NEW"}, fresh(t, path))
	for o, err := range r.List(t.Context(), "", "") {
		require.Fail(t, "it is listed", "%v %v", o, err)
	}
}

func TestWhatIsNotOursIsNotListed(t *testing.T) {
	path := t.TempDir()
	r := opened(t, path)
	for _, name := range []string{".DS_Store", "readme", "Readme.md", "x..+", "+", "A+", "a,+", "lost+found/one+", "d.,/x", "e./y+", "..+/z", "f+/g+"} {
		name = filepath.Join(path, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	require.NoError(t, syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600))
	var names []string
	for o, err := range r.List(t.Context(), "", "") {
		require.NoError(t, err)
		names = append(names, o.Name)
	}
	require.Equal(t, []string{"x.."}, names)
}

func TestNoNameLeadsOut(t *testing.T) {
	path, outside := t.TempDir(), t.TempDir()
	r := opened(t, path)
	require.NoError(t, os.Symlink(outside, filepath.Join(path, "out")))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "one+"), nil, 0o600))
	require.Error(t, put(t, r, "out/two", "content"))
	_, err := r.Get(t.Context(), "out/one", 0, -1)
	require.Error(t, err)
	require.Error(t, r.Delete(t.Context(), "out/one"))
	for o, err := range r.List(t.Context(), "", "") {
		require.Error(t, err, o.Name)
	}
	require.FileExists(t, filepath.Join(outside, "one+"))
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	r := opened(t, path)
	require.NoError(t, put(t, r, "d/one", "content"))
	for name, mode := range map[string]fs.FileMode{"": 0o700, "d": 0o700, "d/one+": 0o600, dir.Fresh: 0o700} {
		info, err := os.Stat(filepath.Join(path, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}

func TestACallUnderWayWhenItIsClosedEndsAsItWouldHave(t *testing.T) {
	path := t.TempDir()
	r := opened(t, path)
	require.NoError(t, r.PutIfAbsent(t.Context(), "d/one", closing{strings.NewReader("content"), r}))
	require.ErrorIs(t, put(t, r, "two", "content"), cloudsync.ErrClosed)
	require.Empty(t, fresh(t, path))
	r = opened(t, path)
	in, err := r.Get(context.Background(), "d/one", 0, -1)
	require.NoError(t, err)
	require.NoError(t, in.Close())
}

// closing is a body during which its Remote is closed.
type closing struct {
	*strings.Reader
	r *dir.Remote
}

func (c closing) ReadAt(p []byte, off int64) (int, error) {
	if err := c.r.Close(); err != nil {
		return 0, err
	}
	return c.Reader.ReadAt(p, off)
}

// at is a disk whose paths are below a folder.
type at struct {
	durable.Disk
	dir string
}

func (a at) in(path string) string                    { return filepath.Join(a.dir, path) }
func (a at) Create(path string) (durable.File, error) { return a.Disk.Create(a.in(path)) }
func (a at) Mkdir(path string) error                  { return a.Disk.Mkdir(a.in(path)) }
func (a at) Link(path, name string) error             { return a.Disk.Link(a.in(path), a.in(name)) }
func (a at) Remove(path string) error                 { return a.Disk.Remove(a.in(path)) }
func (a at) SyncDir(path string) error                { return a.Disk.SyncDir(a.in(path)) }

func TestWhatWasAcknowledgedSurvivesAPowerCut(t *testing.T) {
	r, b, path := onBad(t)
	disk := durabletest.New(t, path)
	b.Disk = at{disk, path}
	type state struct{ there, gone []string }
	var now state
	for _, name := range []string{"d/one", "d/e/two", "d/e/three"} {
		require.NoError(t, put(t, r, name, "the content of "+name))
		now.there = append(now.there, name)
		disk.Remember(now)
	}
	disk.Remember(state{now.there[1:], nil})
	require.NoError(t, r.Delete(t.Context(), "d/one"))
	disk.Remember(state{now.there[1:], []string{"d/one"}})

	disk.EachCut(t, func(noted any) {
		s, _ := noted.(state)
		r := opened(t, path)
		for o, err := range r.List(t.Context(), "", "") {
			require.NoError(t, err)
			require.EqualValues(t, len("the content of ")+len(o.Name), o.Size, o.Name)
			require.NotContains(t, s.gone, o.Name)
		}
		for _, name := range s.there {
			require.ErrorIs(t, put(t, r, name, "other"), cloudsync.ErrExists, name)
		}
		require.NoError(t, r.Close())
	})
}
