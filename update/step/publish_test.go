package step_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// pages are the releases of a small site.
var pages = files(map[string]string{
	"1.0.0/index.html":           "one",
	"1.0.0/about/us.html":        "one",
	"1.1.0/index.html":           "two",
	"1.1.0/news.html":            "two",
	"1.1.0/a/b/c.html":           "two",
	"1.2.0-rc.1/index.html":      "three",
	"1.2.0-rc.1/about/them.html": "three",
})

var pagesOf = step.Sub(pages, "{version}")

// tree returns the files of a folder, and where its links lead, nil if there
// is none.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	content := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		name = filepath.ToSlash(name)
		if e.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			content[name] = "-> " + target
			return err
		}
		data, err := os.ReadFile(path)
		content[name] = string(data)
		return err
	}))
	return content
}

// published returns the files of a release of pages.
func published(t *testing.T, version string) map[string]string {
	content := map[string]string{}
	sub, err := fs.Sub(pages, version)
	require.NoError(t, err)
	require.NoError(t, fs.WalkDir(sub, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(sub, name)
		content[name] = string(data)
		return err
	}))
	return content
}

func unsupported(_, _ string) error { return errors.ErrUnsupported }

// everyWay runs f with each way of switching.
func everyWay(t *testing.T, f func(t *testing.T, publish func(dir string) update.Step)) {
	for name, exchange := range map[string]func(a, b string) error{"in one step": step.Exchange, "by renames": unsupported} {
		t.Run(name, func(t *testing.T) {
			f(t, func(dir string) update.Step {
				return step.PublishBy(exchange, step.Publish{Files: pagesOf, Dir: dir, Replace: true})
			})
		})
	}
}

func TestPublishFilesMakesAFolderHoldExactlyARelease(t *testing.T) {
	everyWay(t, func(t *testing.T, publish func(dir string) update.Step) {
		dir := filepath.Join(t.TempDir(), "site")
		u := newUpdater(t, publish(dir))
		for _, version := range []string{"1.0.0", "1.1.0", "1.2.0-rc.1"} {
			run, err := install(t.Context(), u, version)
			require.NoError(t, err)
			require.Equal(t, update.StateSucceeded, run.State)
			require.Equal(t, published(t, version), tree(t, dir))
		}
	})
}

func TestPublishFilesTakesOverAFolderAndGivesItBack(t *testing.T) {
	everyWay(t, func(t *testing.T, publish func(dir string) update.Step) {
		dir := filepath.Join(t.TempDir(), "site")
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "old"), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "old/page"), []byte("by hand"), 0o640))
		require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "link")))
		before, err := os.Stat(dir)
		require.NoError(t, err)

		s, tk := publish(dir), task("one", "1.0.0")
		require.NoError(t, s.Do(t.Context(), tk))
		require.Equal(t, published(t, "1.0.0"), tree(t, dir))
		for range 2 { // an undo may be run twice
			require.NoError(t, s.Undo(t.Context(), tk))
			after, err := os.Stat(dir)
			require.NoError(t, err)
			require.True(t, os.SameFile(before, after), "the folder itself is back")
			target, err := os.Readlink(filepath.Join(dir, "link"))
			require.NoError(t, err)
			require.Equal(t, "nowhere", target)
			data, err := os.ReadFile(filepath.Join(dir, "old/page"))
			require.NoError(t, err)
			require.Equal(t, "by hand", string(data))
		}
	})
}

func TestPublishFilesUndoesToNothingWhenNothingWasThere(t *testing.T) {
	everyWay(t, func(t *testing.T, publish func(dir string) update.Step) {
		dir := filepath.Join(t.TempDir(), "site")
		s, tk := publish(dir), task("one", "1.0.0")
		require.NoError(t, s.Undo(t.Context(), tk), "nothing was done")
		for range 2 { // a do may be run twice
			require.NoError(t, s.Do(t.Context(), tk))
			applied, err := s.Probe(t.Context(), tk)
			require.NoError(t, err)
			require.Equal(t, update.AppliedYes, applied)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "upload"), []byte("by a visitor"), 0o600))
		require.NoError(t, s.Undo(t.Context(), tk))
		require.NoDirExists(t, dir)
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, s.Undo(t.Context(), tk))
		require.DirExists(t, dir, "a second undo leaves alone what came after the first")

		uploads, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".site.upkeep", "*", "upload"))
		require.NoError(t, err)
		require.Len(t, uploads, 1, "what was written meanwhile is not lost")
	})
}

func TestPublishFilesIsTakenBackByARollback(t *testing.T) {
	everyWay(t, func(t *testing.T, publish func(dir string) update.Step) {
		dir := filepath.Join(t.TempDir(), "site")
		fails := false
		u := newUpdater(t, publish(dir), update.Step{Name: "health", Do: func(context.Context, *update.Task) error {
			if fails {
				return errors.New("not well")
			}
			return nil
		}})
		_, err := install(t.Context(), u, "1.0.0")
		require.NoError(t, err)
		good, err := install(t.Context(), u, "1.1.0")
		require.NoError(t, err)

		fails = true
		for range 3 {
			run, err := install(t.Context(), u, "1.2.0-rc.1")
			require.ErrorIs(t, err, update.ErrFailed)
			require.Equal(t, update.StateRolledBack, run.State)
			require.Equal(t, published(t, "1.1.0"), tree(t, dir))
		}

		// The release before is still there after that.
		back, err := u.Rollback(t.Context(), good.ID, update.By{})
		require.NoError(t, err)
		_, err = u.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		require.Equal(t, published(t, "1.0.0"), tree(t, dir))
	})
}

func TestPublishFilesKeepsThePreviousRelease(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	s := step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir})
	for i, version := range []string{"1.0.0", "1.1.0", "1.0.0", "1.1.0", "1.2.0-rc.1", "1.0.0"} {
		require.NoError(t, s.Do(t.Context(), task(fmt.Sprint("run", i), version)))
	}
	kept, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".site.upkeep", "*.old"))
	require.NoError(t, err)
	require.Len(t, kept, 2)
	all, err := os.ReadDir(filepath.Join(filepath.Dir(dir), ".site.upkeep"))
	require.NoError(t, err)
	require.Less(t, len(all), 9)
	require.Equal(t, published(t, "1.1.0"), tree(t, kept[0]))
	require.Equal(t, published(t, "1.2.0-rc.1"), tree(t, kept[1]))
}

// errCrash stands for the death of the process.
var errCrash = errors.New("crash")

// crashPoint is a way to switch that ends half-way, and what is then at dir.
type crashPoint struct {
	name     string
	exchange func(a, b string) error
	live     string // the release at dir, "" for none
	applied  update.Applied
}

var crashes = []crashPoint{
	{"before the switch", func(a, b string) error { return errCrash }, "1.0.0", update.AppliedNo},
	{"after the switch", func(a, b string) error { return errors.Join(step.Exchange(a, b), errCrash) }, "1.1.0", update.AppliedUnknown},
	{"after the first of two renames", func(a, b string) error {
		return errors.Join(os.Rename(b, out(a)), errCrash)
	}, "", update.AppliedUnknown},
	{"after the second of two renames", func(a, b string) error {
		return errors.Join(os.Rename(b, out(a)), os.Rename(a, b), errCrash)
	}, "1.1.0", update.AppliedUnknown},
}

// out is the name of what is replaced by the folder a.
func out(a string) string {
	if name, ok := strings.CutSuffix(a, ".new"); ok {
		return name + ".old"
	}
	return strings.TrimSuffix(a, ".old") + ".undone"
}

func TestPublishFilesGoesOnAfterACrash(t *testing.T) {
	for _, tt := range crashes {
		for _, finish := range []string{"do", "undo"} {
			t.Run(tt.name+", then "+finish, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "site")
				require.NoError(t, step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir}).Do(t.Context(), task("zero", "1.0.0")))
				tk := task("one", "1.1.0")
				require.ErrorIs(t, step.PublishBy(tt.exchange, step.Publish{Files: pagesOf, Dir: dir}).Do(t.Context(), tk), errCrash)
				if tt.live == "" {
					require.NoDirExists(t, dir)
				} else {
					require.Equal(t, published(t, tt.live), tree(t, dir))
				}
				s := step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir})
				applied, err := s.Probe(t.Context(), tk)
				require.NoError(t, err)
				require.Equal(t, tt.applied, applied)
				for range 2 {
					if finish == "do" {
						require.NoError(t, s.Do(t.Context(), tk))
						require.Equal(t, published(t, "1.1.0"), tree(t, dir))
					} else {
						require.NoError(t, s.Undo(t.Context(), tk))
						require.Equal(t, published(t, "1.0.0"), tree(t, dir))
					}
				}
				require.NoError(t, s.Undo(t.Context(), tk))
				require.Equal(t, published(t, "1.0.0"), tree(t, dir), "what was there before was kept")
			})
		}
	}
}

func TestPublishFilesGoesOnAfterACrashInUndo(t *testing.T) {
	for _, tt := range crashes {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "site")
			require.NoError(t, step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir}).Do(t.Context(), task("zero", "1.0.0")))
			tk := task("one", "1.1.0")
			s := step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir})
			require.NoError(t, s.Do(t.Context(), tk))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "upload"), []byte("since"), 0o600))
			require.ErrorIs(t, step.PublishBy(tt.exchange, step.Publish{Files: pagesOf, Dir: dir}).Undo(t.Context(), tk), errCrash)
			require.NoError(t, s.Undo(t.Context(), tk))
			require.Equal(t, published(t, "1.0.0"), tree(t, dir))
			require.NoError(t, s.Do(t.Context(), task("two", "1.2.0-rc.1")))
			require.Equal(t, published(t, "1.2.0-rc.1"), tree(t, dir))
		})
	}
}

func TestPublishFilesStartsAgainWhenTheFilesWereNotComplete(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	content := maps.Clone(published(t, "1.0.0"))
	failing := step.PublishFiles(step.Publish{Files: func(update.Release) (fs.FS, error) { return unreadable{files(content)}, nil }, Dir: dir})
	tk := task("one", "1.0.0")
	require.ErrorIs(t, failing.Do(t.Context(), tk), errCrash)
	require.NoDirExists(t, dir)
	s := step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir})
	applied, err := s.Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedNo, applied)
	require.NoError(t, s.Do(t.Context(), tk))
	require.Equal(t, published(t, "1.0.0"), tree(t, dir))
}

// unreadable is a tree in which a page cannot be read.
type unreadable struct{ fs.FS }

func (u unreadable) Open(name string) (fs.File, error) {
	if name == "index.html" {
		return nil, errCrash
	}
	return u.FS.Open(name)
}

func TestReadersSeeWholeReleasesWhilePublishFilesSwitches(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	s := step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir})
	require.NoError(t, s.Do(t.Context(), task("start", "1.0.0")))

	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	read := make([]chan struct{}, 3) // one for each reader
	for i := range read {
		read[i] = make(chan struct{})
		readers.Go(func() {
			for ctx.Err() == nil {
				if err := readWhole(dir); err != nil {
					t.Errorf("reading: %v", err)
					stop()
					return
				}
				select {
				case read[i] <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() { // without a pause, to hit the moment of the switch
			for ctx.Err() == nil {
				if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
					t.Errorf("there was a moment without a page: %v", err)
					stop()
				}
			}
		})
	}
	for i := range often(5, 15) {
		require.NoError(t, s.Do(t.Context(), task(fmt.Sprint("run", i), []string{"1.1.0", "1.0.0"}[i%2])))
		for _, reader := range read {
			for range 2 { // the second time it has seen what is there now: a release is kept for one publish more
				select {
				case <-reader:
				case <-ctx.Done():
				}
			}
		}
	}
	stop()
	readers.Wait()
}

// readWhole reads all files of the release that is at dir.
func readWhole(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	seen := map[string][]string{}
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root.FS(), name)
		seen[string(data)] = append(seen[string(data)], name)
		return err
	})
	if err != nil {
		return err
	}
	whole := map[string][]string{"one": {"about/us.html", "index.html"}, "two": {"a/b/c.html", "index.html", "news.html"}}
	for release, names := range seen {
		if len(seen) != 1 || !slices.Equal(names, whole[release]) {
			return fmt.Errorf("a mix: %v", seen)
		}
	}
	return nil
}

func TestPublishFilesDoesNotHalfWriteWhenItIsCancelled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	require.NoError(t, step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir}).Do(t.Context(), task("zero", "1.0.0")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, tk := step.PublishFiles(step.Publish{Files: pagesOf, Dir: dir}), task("one", "1.1.0")
	require.ErrorIs(t, s.Do(ctx, tk), context.Canceled)
	require.Equal(t, published(t, "1.0.0"), tree(t, dir))
	require.NoError(t, s.Undo(t.Context(), tk))
}
