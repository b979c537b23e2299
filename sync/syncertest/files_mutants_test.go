package syncertest_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/provetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// bent are files that keep all promises but one.
type bent struct {
	cloudsync.Files
	dir  string
	seen func(f *cloudsync.File) // what is told of an entry
	list func(files []cloudsync.File, folder string) []cloudsync.File
	bent string // how, for all else
}

func (b bent) at(path string) string { return filepath.Join(b.dir, filepath.FromSlash(path)) }

func (b bent) List(ctx context.Context, folder string) iter.Seq2[cloudsync.File, error] {
	return func(yield func(cloudsync.File, error) bool) {
		var files []cloudsync.File
		for f, err := range b.Files.List(ctx, folder) {
			if err != nil {
				if b.bent != "a missing folder is empty" {
					yield(f, err)
				}
				return
			}
			if b.seen != nil {
				b.seen(&f)
			}
			files = append(files, f)
		}
		if b.list != nil {
			files = b.list(files, folder)
		}
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (b bent) Stat(ctx context.Context, path string) (cloudsync.File, error) {
	f, err := b.Files.Stat(ctx, path)
	if err == nil && b.seen != nil {
		b.seen(&f)
	}
	if info, e := os.Stat(b.at(path)); e == nil && b.bent == "links are followed" {
		f.Mode = info.Mode()
	}
	if b.bent == "the tree is an entry" && path == "." {
		return cloudsync.File{Path: path, Mode: fs.ModeDir}, nil
	}
	if b.bent == "links above are followed" && err != nil {
		if info, e := os.Stat(b.at(path)); e == nil {
			return cloudsync.File{Path: path, Mode: info.Mode()}, nil
		}
	}
	return f, err
}

func (b bent) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := b.Files.Open(ctx, path)
	if err == nil && b.bent == "a byte is not read" {
		_, err = r.Read(make([]byte, 1))
	}
	return r, err
}

func (b bent) Stage(ctx context.Context, f cloudsync.File, content io.Reader) error {
	switch b.bent {
	case "what is staged stays":
		if _, err := b.Files.Stat(ctx, f.Path); err == nil {
			return nil
		}
	case "half a content is staged":
		data, err := io.ReadAll(content)
		return errors.Join(err, b.Files.Stage(ctx, f, strings.NewReader(string(data))))
	case "links are files":
		if f.Mode&fs.ModeSymlink != 0 {
			f.Mode, content = 0o644, strings.NewReader(f.Link)
		}
	}
	return b.Files.Stage(ctx, f, content)
}

func (b bent) Place(ctx context.Context, staged, path string) (cloudsync.File, error) {
	switch b.bent {
	case "a folder above is made":
		if err := os.MkdirAll(filepath.Dir(b.at(path)), 0o755); err != nil {
			return cloudsync.File{}, cloudsync.ErrNotFound
		}
	case "what is there is lost":
		f, err := b.Files.Place(ctx, staged, path)
		_ = b.Files.Remove(ctx, staged, "")
		return f, err
	case "a folder gives way":
		_ = os.RemoveAll(b.at(path))
	case "nothing staged is nothing done":
		if _, err := b.Files.Stat(ctx, staged); err != nil {
			return cloudsync.File{}, nil
		}
	case "it stays staged":
		data, _ := os.ReadFile(b.at(staged))
		f, err := b.Files.Place(ctx, staged, path)
		_ = os.WriteFile(b.at(staged), data, 0o644)
		return f, err
	}
	return b.Files.Place(ctx, staged, path)
}

func (b bent) Remove(ctx context.Context, path, staged string) error {
	switch {
	case b.bent == "what is removed is gone" && staged != "":
		return b.Files.Remove(ctx, path, "")
	case b.bent == "a folder goes with what it has":
		if info, err := os.Lstat(b.at(path)); err == nil && info.IsDir() {
			return os.RemoveAll(b.at(path))
		}
	case b.bent == "what is staged stays there" && staged == "":
		return nil
	}
	return b.Files.Remove(ctx, path, staged)
}

func TestTheSuiteOfFilesIsProved(t *testing.T) {
	harness := func(bend func(b *bent)) syncertest.FilesHarness {
		return syncertest.FilesHarness{RealTime: true, Open: func(t testing.TB) (cloudsync.Files, syncertest.Person) {
			dir := t.TempDir()
			files := cloudsync.Dir(dir)
			t.Cleanup(func() { require.NoError(t, files.Close()) })
			b := bent{Files: files, dir: dir}
			if bend != nil {
				bend(&b)
			}
			return b, syncertest.PersonIn(t, dir)
		}}
	}
	var mutants []provetest.Mutant
	add := func(what, caught string, bend func(b *bent)) {
		mutants = append(mutants, provetest.Mutant{What: what, Caught: caught, Cases: harness(bend).Cases()})
	}
	how := func(what, caught string) { add(what, caught, func(b *bent) { b.bent = what }) }
	seen := func(what, caught string, f func(*cloudsync.File)) { add(what, caught, func(b *bent) { b.seen = f }) }
	list := func(what, caught string, f func([]cloudsync.File, string) []cloudsync.File) {
		add(what, caught, func(b *bent) { b.list = f })
	}

	list("it is listed backwards", "a folder is listed by name", func(all []cloudsync.File, _ string) []cloudsync.File {
		slices.Reverse(all)
		return all
	})
	list("staging is listed", "an empty tree has nothing", func(all []cloudsync.File, folder string) []cloudsync.File {
		if folder == "" {
			all = append(all, cloudsync.File{Path: cloudsync.Staging})
		}
		return all
	})
	how("a missing folder is empty", "only a folder is listed")
	seen("sizes are told in blocks", "an entry is described", func(f *cloudsync.File) { f.Size = (f.Size + 511) / 512 * 512 })
	how("links are followed", "a link is not followed")
	how("a byte is not read", "a file is read")
	seen("a tag is always the same", "an edit shows in the tag", func(f *cloudsync.File) { f.Tag, f.Recent = "", false })
	seen("nothing is recent", "what has changed lately is recent", func(f *cloudsync.File) { f.Recent = false })
	how("it stays staged", "a file is staged and placed")
	how("what is staged stays", "what is staged is replaced")
	how("half a content is staged", "a content that ends in an error stages nothing")
	how("what is there is lost", "what is at a path comes out")
	how("a folder gives way", "a folder does not come out")
	how("links are files", "a folder and a link are placed")
	how("a folder above is made", "nothing is placed where there is no folder")
	how("nothing staged is nothing done", "what is not staged is not placed")
	how("what is removed is gone", "a file is removed into staging")
	how("a folder goes with what it has", "a folder is removed when it is empty")
	how("what is staged stays there", "what is staged is deleted")
	how("the tree is an entry", "no path leads out")
	how("links above are followed", "no path leads through a link")
	provetest.Prove(t, harness(nil).Cases(), mutants)
}
