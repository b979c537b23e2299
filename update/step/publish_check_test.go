package step_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestPublishFilesFindsOutBeforehandWhatItCannotDo(t *testing.T) {
	home := t.TempDir()
	link := filepath.Join(home, "link")
	require.NoError(t, os.Symlink(home, link))
	file := filepath.Join(home, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	src := func(m fstest.MapFS) step.Tree {
		return func(update.Release) (fs.FS, error) { return m, nil }
	}
	tests := []struct {
		name, dir, message string
		src                step.Tree
	}{
		{"a release that is not there", "site", `release "1.0.0"`, step.Sub(pages, "pages/{version}")},
		{"a release without files", "site", "has no files", src(fstest.MapFS{"empty": {Mode: fs.ModeDir}})},
		{"a link in the release", "site", "neither a file nor a folder", src(fstest.MapFS{"link": {Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink}})},
		{"a name that leads out", "site", "cannot be a file name", func(update.Release) (fs.FS, error) { return escaping{}, nil }},
		{"a link instead of a folder", "link", "is not a folder", pagesOf},
		{"a file instead of a folder", "file", "is not a folder", pagesOf},
		{"a folder in a folder that is not there", "missing/site", "no such file", pagesOf},
		{"no source", "site", "cannot publish", nil},
		{"nowhere", "", "cannot publish", pagesOf},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.dir
			if dir != "" {
				dir = filepath.Join(home, dir)
			}
			require.ErrorContains(t, step.PublishFiles(step.Publish{Files: tt.src, Dir: dir}).Check(t.Context(), task("one", "1.0.0")), tt.message)
		})
	}
	require.ErrorContains(t, step.PublishFiles(step.Publish{Files: pagesOf, Dir: "/"}).Check(t.Context(), task("one", "1.0.0")), "cannot publish")
	require.NoError(t, step.PublishFiles(step.Publish{Files: pagesOf, Dir: filepath.Join(home, "site")}).Check(t.Context(), task("one", "1.0.0")))
	entries, err := os.ReadDir(home)
	require.NoError(t, err)
	require.Len(t, entries, 2, "a check changes nothing")
}

// escaping is a tree with a file called "../out".
type escaping struct{ fstest.MapFS }

func (escaping) Open(name string) (fs.File, error) { return nil, fs.ErrNotExist }

func (escaping) ReadDir(string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(fstest.MapFS{"out": {}}, "out")
	return []fs.DirEntry{outside{fs.FileInfoToDirEntry(info)}}, err
}

func (escaping) Stat(string) (fs.FileInfo, error) { return fs.Stat(fstest.MapFS{}, ".") }

type outside struct{ fs.DirEntry }

func (outside) Name() string { return "../../out" }
