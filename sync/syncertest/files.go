package syncertest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

const staged = cloudsync.Staging + "/one"

func (t *filesTest) list(folder string) (names []string) {
	t.Helper()
	for f, err := range t.List(t.Context(), folder) {
		require.NoError(t, err)
		names = append(names, f.Path)
	}
	return names
}

func (t *filesTest) stat(path string) cloudsync.File {
	t.Helper()
	f, err := t.Stat(t.Context(), path)
	require.NoError(t, err)
	return f
}

// has checks the content of a file; that of "" is that nothing is there.
func (t *filesTest) has(path, content string) {
	t.Helper()
	r, err := t.Open(t.Context(), path)
	if content == "" {
		require.ErrorIs(t, err, cloudsync.ErrNotFound, path)
		return
	}
	require.NoError(t, err)
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, content, string(data), path)
}

func (t *filesTest) stage(content string) {
	t.Helper()
	f := cloudsync.File{Path: staged, Mode: 0o640, Size: int64(len(content)), ModTime: time.Unix(1_600_000_000, 0)}
	require.NoError(t, t.Stage(t.Context(), f, strings.NewReader(content)))
}

func (t *filesTest) place(path string) (cloudsync.File, error) {
	return t.Place(t.Context(), staged, path)
}

func (t *filesTest) lists() {
	for _, path := range []string{"b", "a/x", "a-b", "a/y/z", "ä", "B"} {
		t.Write(path, "1")
	}
	t.Folder("empty")
	t.stage("staged")
	want := []string{"B", "a", "a-b", "b", "empty", "ä"}
	if !t.caps.CaseSensitive {
		want = want[1:]
	}
	require.Equal(t, want, t.list(""))
	require.Equal(t, []string{"a/x", "a/y"}, t.list("a"))
	require.Empty(t, t.list("empty"))
	n := 0
	for range t.List(t.Context(), "") {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func (t *filesTest) empty() { require.Empty(t, t.list("")) }

func (t *filesTest) listsFolders() {
	t.Write("file", "1")
	for _, path := range []string{"file", "missing", "missing/deeper"} {
		n := 0
		for _, err := range t.List(t.Context(), path) {
			n++
			require.ErrorIs(t, err, cloudsync.ErrNotFound, path)
		}
		require.Equal(t, 1, n, path)
	}
}

func (t *filesTest) describes() {
	t.Write("d/file", "12345")
	at := time.Unix(1_700_000_000, 0)
	t.Touch("d/file", at)
	f := t.stat("d/file")
	require.Equal(t, "d/file", f.Path)
	require.True(t, f.Mode.IsRegular())
	require.EqualValues(t, 5, f.Size)
	require.True(t, at.Equal(f.ModTime))
	for g, err := range t.List(t.Context(), "d") {
		require.NoError(t, err)
		require.Equal(t, f, g)
	}
	require.True(t, t.stat("d").Mode.IsDir())
	_, err := t.Stat(t.Context(), "missing")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	_, err = t.Stat(t.Context(), "d/file/deeper")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
}

func (t *filesTest) links() {
	if !t.caps.Symlinks {
		return
	}
	t.Write("file", "12345")
	for path, target := range map[string]string{"a": "file", "b": "nowhere", "c": "../../out", "d": "/etc"} {
		t.Link(path, target)
		f := t.stat(path)
		require.Equal(t, fs.ModeSymlink, f.Mode.Type())
		require.Equal(t, target, f.Link)
		t.has(path, "")
	}
}

func (t *filesTest) reads() {
	t.Write("d/file", "content")
	t.has("d/file", "content")
	t.has("d", "")
	t.has("missing", "")
}

func (t *filesTest) tags() {
	at := time.Unix(1_700_000_000, 0)
	t.Write("file", "one")
	t.Touch("file", at)
	before := t.stat("file")
	require.Equal(t, before.Tag, t.stat("file").Tag, "it is the same as long as nothing changes")
	t.Write("file", "two")
	t.Touch("file", at)
	after := t.stat("file")
	require.Equal(t, before.Size, after.Size)
	require.True(t, before.ModTime.Equal(after.ModTime))
	require.True(t, after.Tag != before.Tag || after.Recent)
}

func (t *filesTest) recent() {
	t.Write("file", "one")
	require.True(t, t.stat("file").Recent)
	for f, err := range t.List(t.Context(), "") {
		require.NoError(t, err)
		require.True(t, f.Recent)
	}
}

func (t *filesTest) places() {
	t.Folder("d")
	t.stage("new")
	require.NoError(t, t.Flush(t.Context()))
	require.Empty(t, t.list("d"))
	f, err := t.place("d/file")
	require.NoError(t, err)
	require.Equal(t, t.stat("d/file"), f)
	require.True(t, f.ModTime.Equal(time.Unix(1_600_000_000, 0)))
	if t.caps.Modes {
		require.EqualValues(t, 0o640, f.Mode.Perm())
	}
	t.has("d/file", "new")
	t.has(staged, "")
	require.NoError(t, t.Flush(t.Context()))
}

func (t *filesTest) replaces() {
	t.stage("one")
	t.stage("two")
	t.has(staged, "two")
	require.NoError(t, t.Stage(t.Context(), cloudsync.File{Path: staged, Mode: fs.ModeDir | 0o755}, nil))
	require.True(t, t.stat(staged).Mode.IsDir())
	t.stage("three")
	t.has(staged, "three")
}

func (t *filesTest) broken() {
	broken := errors.New("no more")
	content := io.MultiReader(strings.NewReader("half"), failing{broken})
	require.ErrorIs(t, t.Stage(t.Context(), cloudsync.File{Path: staged, Mode: 0o644}, content), broken)
	t.has(staged, "")
	t.stage("whole")
	require.ErrorIs(t, t.Stage(t.Context(), cloudsync.File{Path: staged, Mode: 0o644}, failing{broken}), broken)
	t.has(staged, "whole")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (t *filesTest) exchanges() {
	t.Write("file", "old")
	t.stage("new")
	_, err := t.place("file")
	require.NoError(t, err)
	t.has("file", "new")
	t.has(staged, "old")
	if t.caps.Symlinks {
		t.Link("link", "target")
		_, err := t.place("link")
		require.NoError(t, err)
		t.has("link", "old")
		require.Equal(t, "target", t.stat(staged).Link)
	}
}

func (t *filesTest) folders() {
	t.Write("d/file", "1")
	t.Folder("e")
	t.stage("new")
	for _, path := range []string{"d", "e"} {
		_, err := t.place(path)
		require.ErrorIs(t, err, cloudsync.ErrExists)
		require.True(t, t.stat(path).Mode.IsDir())
		t.has(staged, "new")
	}
	t.has("d/file", "1")
}

func (t *filesTest) kinds() {
	require.NoError(t, t.Stage(t.Context(), cloudsync.File{Path: staged, Mode: fs.ModeDir | 0o755}, nil))
	f, err := t.place("d")
	require.NoError(t, err)
	require.True(t, f.Mode.IsDir())
	require.Empty(t, t.list("d"))
	if !t.caps.Symlinks {
		return
	}
	require.NoError(t, t.Stage(t.Context(), cloudsync.File{Path: staged, Mode: fs.ModeSymlink | 0o777, Link: "../x"}, nil))
	f, err = t.place("d/link")
	require.NoError(t, err)
	require.Equal(t, "../x", f.Link)
}

func (t *filesTest) nowhere() {
	t.Write("file", "1")
	t.stage("new")
	for _, path := range []string{"missing/x", "file/x"} {
		_, err := t.place(path)
		require.ErrorIs(t, err, cloudsync.ErrNotFound, path)
	}
	t.has(staged, "new")
	t.has("file", "1")
}

func (t *filesTest) nothing() {
	t.Write("file", "1")
	for _, path := range []string{"file", "other"} {
		_, err := t.place(path)
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	}
	t.has("file", "1")
}

func (t *filesTest) removes() {
	t.Write("d/file", "1")
	require.NoError(t, t.take("d/file", staged))
	t.has("d/file", "")
	t.has(staged, "1")
	t.Write("other", "2")
	require.NoError(t, t.take("other", staged))
	t.has(staged, "2")
	require.ErrorIs(t, t.take("missing", staged), cloudsync.ErrNotFound)
	require.ErrorIs(t, t.take("missing/deeper", staged), cloudsync.ErrNotFound)
	t.has(staged, "2")
}

// take is Remove of Files, which a Person has too.
func (t *filesTest) take(path, to string) error { return t.Files.Remove(t.Context(), path, to) }

func (t *filesTest) removesFolders() {
	t.Write("d/file", "1")
	require.ErrorIs(t, t.take("d", staged), cloudsync.ErrNotEmpty)
	t.has("d/file", "1")
	t.Person.Remove("d/file")
	require.NoError(t, t.take("d", staged))
	require.Empty(t, t.list(""))
}

func (t *filesTest) deletes() {
	t.stage("new")
	require.NoError(t, t.take(staged, ""))
	t.has(staged, "")
	require.ErrorIs(t, t.take(staged, ""), cloudsync.ErrNotFound)
}

func (t *filesTest) out() {
	t.Write("file", "1")
	t.stage("new")
	ctx := context.WithoutCancel(t.Context())
	for _, path := range []string{"", ".", "..", "../x", "/x", "a/../../x", "a/./b", "a//b", "a/"} {
		_, err := t.Stat(ctx, path)
		assert.Error(t, err, "%q", path)
		_, err = t.Open(ctx, path)
		assert.Error(t, err, "%q", path)
		_, err = t.place(path)
		assert.Error(t, err, "%q", path)
		assert.Error(t, t.take("file", path+"/y"), "%q", path)
		assert.Error(t, t.take(path, staged), "%q", path)
		assert.Error(t, t.Stage(ctx, cloudsync.File{Path: path, Mode: 0o644}, strings.NewReader("x")), "%q", path)
	}
	t.has("file", "1")
	t.has(staged, "new")
}

func (t *filesTest) through() {
	if !t.caps.Symlinks {
		return
	}
	t.Write("inner/file", "1")
	t.Link("link", "inner")
	t.stage("new")
	_, err := t.Stat(t.Context(), "link/file")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	t.has("link/file", "")
	_, err = t.place("link/file")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	require.ErrorIs(t, t.take("link/file", staged), cloudsync.ErrNotFound)
	n := 0
	for _, err := range t.List(t.Context(), "link") {
		n++
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	}
	require.Equal(t, 1, n)
	t.has("inner/file", "1")
	t.has(staged, "new")
}
