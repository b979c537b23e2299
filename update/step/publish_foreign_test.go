package step_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// put writes a file by hand.
func put(t *testing.T, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

// heard is a task whose output can be read.
func heard(id, version string) (*update.Task, *bytes.Buffer) {
	tk, out := task(id, version), new(bytes.Buffer)
	tk.Log = out
	return tk, out
}

// webSite publishes to a folder.
type webSite struct {
	dir string
	step.Publish
}

func newSite(t *testing.T) *webSite {
	s := &webSite{dir: filepath.Join(t.TempDir(), "site")}
	s.Publish = step.Publish{Files: pagesOf, Dir: s.dir}
	return s
}

func (s *webSite) step() update.Step { return step.PublishFiles(s.Publish) }

// publish runs a publish that succeeds, and returns its task and output.
func (s *webSite) publish(t *testing.T, id, version string) (*update.Task, *bytes.Buffer) {
	t.Helper()
	tk, out := heard(id, version)
	require.NoError(t, s.step().Check(t.Context(), tk))
	require.NoError(t, s.step().Do(t.Context(), tk))
	applied, err := s.step().Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedYes, applied)
	return tk, out
}

// beside lists what is in the folder beside the site.
func (s *webSite) beside(t *testing.T, pattern string) []string {
	all, err := filepath.Glob(filepath.Join(filepath.Dir(s.dir), ".site.upkeep", pattern))
	require.NoError(t, err)
	return all
}

// foreignChange is a change of the folder that no release has made.
type foreignChange struct {
	name   string
	change func(t *testing.T, dir string)
	says   string
}

func TestPublishFilesRefusesWhatNoReleaseHasPutThere(t *testing.T) {
	tests := []foreignChange{
		{"a file", func(t *testing.T, dir string) { put(t, "", dir, "photo.jpg") }, `1 in`},
		{"a hidden file", func(t *testing.T, dir string) { put(t, "", dir, ".htaccess") }, `".htaccess"`},
		{"a file in a folder of the release", func(t *testing.T, dir string) { put(t, "", dir, "about/me.html") }, `"about/me.html"`},
		{"a folder", func(t *testing.T, dir string) { put(t, "", dir, "up/2026/a.jpg"); put(t, "", dir, "up/b.jpg") }, `"up/2026/a.jpg", "up/b.jpg"`},
		{"an empty folder", func(t *testing.T, dir string) { require.NoError(t, os.Mkdir(filepath.Join(dir, "up"), 0o755)) }, `"up/"`},
		{"a link", func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(dir, "media")))
		}, `"media"`},
		{"a dead link", func(t *testing.T, dir string) { require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "media"))) }, `"media"`},
		{"many", func(t *testing.T, dir string) {
			for _, name := range strings.Split("abcdefgh", "") {
				put(t, "", dir, "up", name)
			}
		}, `8 in`},
		{"a file that was changed", func(t *testing.T, dir string) { put(t, "changed", dir, "index.html") }, `"index.html"`},
		{"one changed to the same size and time", func(t *testing.T, dir string) {
			info, err := os.Stat(filepath.Join(dir, "index.html"))
			require.NoError(t, err)
			put(t, "ONE", dir, "index.html")
			require.NoError(t, os.Chtimes(filepath.Join(dir, "index.html"), time.Time{}, info.ModTime()))
		}, `"index.html"`},
		{"a file in the place of a folder", func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "about")))
			put(t, "", dir, "about")
		}, `"about"`},
		{"a link in the place of a file", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "index.html"), filepath.Join(filepath.Dir(dir), "index.html")))
			require.NoError(t, os.Symlink("../index.html", filepath.Join(dir, "index.html")))
		}, `"index.html"`},
		{"a name in strange bytes", func(t *testing.T, dir string) {
			put(t, "", dir, "a\xff\nb", "c\xfe")
		}, `"a\xff\nb/c\xfe"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func (tt foreignChange) run(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	tt.change(t, s.dir)
	before := tree(t, s.dir)
	tk, _ := heard("one", "1.1.0")
	for _, f := range []func(context.Context, *update.Task) error{s.step().Check, s.step().Do} {
		err := f(t.Context(), tk)
		require.ErrorIs(t, err, step.ErrForeign)
		require.ErrorContains(t, err, tt.says)
		require.Equal(t, before, tree(t, s.dir))
	}
	applied, err := s.step().Probe(t.Context(), tk)
	require.NoError(t, err)
	require.Equal(t, update.AppliedNo, applied)
	require.NoError(t, s.step().Undo(t.Context(), tk))
	require.Equal(t, before, tree(t, s.dir))

	s.Replace = true
	s.publish(t, "two", "1.1.0")
	require.Equal(t, published(t, "1.1.0"), tree(t, s.dir))
}

func TestPublishFilesKnowsItsOwnFilesAgain(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	index := filepath.Join(s.dir, "index.html")
	for i, change := range []func() error{
		func() error { return os.Chtimes(index, time.Now(), time.Now().Add(time.Hour)) },
		func() error { return os.Chmod(index, 0o600) },
		func() error { return os.Remove(index) },
		func() error { return os.WriteFile(index, []byte("one"), 0o644) }, // as it was
	} {
		require.NoError(t, change(), i)
		tk, _ := heard("any", "1.1.0")
		require.NoError(t, s.step().Check(t.Context(), tk), i)
	}
	s.publish(t, "one", "1.1.0")
}

func TestPublishFilesRefusesAFolderThatIsNotOfIt(t *testing.T) {
	s := newSite(t)
	put(t, "<?php", s.dir, "index.php")
	put(t, "", s.dir, "wp-content/uploads/2026/photo.jpg")
	before := tree(t, s.dir)
	tk, _ := heard("one", "1.0.0")
	err := s.step().Check(t.Context(), tk)
	require.ErrorIs(t, err, step.ErrForeign)
	require.ErrorContains(t, err, `2 in`)
	require.Equal(t, before, tree(t, s.dir))
	require.NoDirExists(t, filepath.Join(filepath.Dir(s.dir), ".site.upkeep"))

	s.Keep = []string{"wp-content/uploads", "*.php"}
	tk, _ = s.publish(t, "two", "1.0.0")
	want := published(t, "1.0.0")
	want["index.php"], want["wp-content/uploads/2026/photo.jpg"] = "<?php", ""
	require.Equal(t, want, tree(t, s.dir))
	require.NoError(t, s.step().Undo(t.Context(), tk))
	require.Equal(t, before, tree(t, s.dir))
}

func TestPublishFilesLooksAgainBeforeItSwitches(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	u := newUpdater(t, update.Step{Name: "visitor", Do: func(context.Context, *update.Task) error {
		put(t, "photo", s.dir, "photo.jpg") // comes after the checks
		return nil
	}}, s.step())
	run, err := install(t.Context(), u, "1.1.0")
	require.ErrorIs(t, err, update.ErrFailed)
	require.Equal(t, update.StateRolledBack, run.State)
	require.Contains(t, run.Reason, `"photo.jpg"`)
	want := published(t, "1.0.0")
	want["photo.jpg"] = "photo"
	require.Equal(t, want, tree(t, s.dir))
}

func TestPublishFilesNeverDeletesWhatCameDuringTheSwitch(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newSite(t)
		s.publish(t, "zero", "1.0.0")
		tk, out := heard("one", "1.1.0")
		require.NoError(t, step.PublishBy(func(a, b string) error {
			put(t, "late", s.dir, "late.jpg")
			return exchange(a, b)
		}, s.Publish).Do(t.Context(), tk))
		require.Contains(t, out.String(), "late.jpg")
		for i := range 4 {
			_, more := s.publish(t, "more", []string{"1.0.0", "1.1.0"}[i%2])
			out.WriteString(more.String())
		}
		require.Len(t, s.beside(t, "*.kept/late.jpg"), 1)
		require.Contains(t, out.String(), filepath.Dir(s.beside(t, "*.kept/late.jpg")[0]))
		require.Len(t, s.beside(t, "*.old"), 2)
	})
}

func TestPublishFilesNeverDeletesWhatCameToAnUndoneTree(t *testing.T) {
	for _, replace := range []bool{false, true} {
		s := newSite(t)
		s.Replace = replace
		s.publish(t, "zero", "1.0.0")
		tk, out := s.publish(t, "one", "1.1.0")
		put(t, "photo", s.dir, "up/photo.jpg")
		put(t, "edited", s.dir, "news.html")
		require.NoError(t, s.step().Undo(t.Context(), tk))
		require.Equal(t, published(t, "1.0.0"), tree(t, s.dir))
		require.Equal(t, !replace, strings.Contains(out.String(), `"news.html", "up/photo.jpg"`), out)
		for i := range 4 {
			s.publish(t, "more", []string{"1.1.0", "1.0.0"}[i%2])
		}
		require.Equal(t, !replace, len(s.beside(t, "*.kept/up/photo.jpg")) == 1)
		require.Len(t, s.beside(t, "*.undone"), 0)
	}
}

func TestPublishFilesLeavesAloneWhatIsNotItsOwnBesideTheFolder(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	mine := put(t, "mine", filepath.Dir(s.dir), ".site.upkeep", "notes", "todo.txt")
	for i := range 4 {
		s.publish(t, "more", []string{"1.1.0", "1.0.0"}[i%2])
	}
	require.FileExists(t, mine)
}

func TestPublishFilesKnowsWhatCameLastAlsoWhenTheClockWasSetBack(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	s.publish(t, "one", "1.1.0")
	synctest.Test(t, func(t *testing.T) { // where it is the year 2000
		s.publish(t, "two", "1.0.0")
		s.publish(t, "three", "1.1.0")
	})
	require.Len(t, s.beside(t, "*-two.old"), 1)
	require.Empty(t, s.beside(t, "*-one.old"))
}

func TestPublishFilesDoesNotPileUpTreesOfPublishesThatFail(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	for i := range 6 {
		tk, _ := heard("one", "1.1.0")
		require.ErrorIs(t, step.PublishBy(crashes[0].exchange, s.Publish).Do(t.Context(), tk), errCrash)
		if i%2 == 0 {
			require.NoError(t, s.step().Undo(t.Context(), tk))
			require.Empty(t, s.beside(t, "*.new"))
		}
	}
	require.Len(t, s.beside(t, "*.new"), 1)
	require.LessOrEqual(t, len(s.beside(t, "*")), 3)
	s.publish(t, "two", "1.1.0")
	require.Empty(t, s.beside(t, "*.new"))
}

func TestPublishFilesUndoLosesNothingWhenSomebodyHasChangedTheFolders(t *testing.T) {
	aside := func(path string) func(*testing.T) error {
		return func(*testing.T) error { return os.Rename(path, path+".mine") }
	}
	t.Run("what was there before is gone", func(t *testing.T) {
		s := newSite(t)
		s.publish(t, "zero", "1.0.0")
		tk, _ := s.publish(t, "one", "1.1.0")
		require.NoError(t, aside(s.beside(t, "*.old")[0])(t))
		err := s.step().Undo(t.Context(), tk)
		require.ErrorContains(t, err, "what was there before is gone")
		require.Equal(t, published(t, "1.1.0"), tree(t, s.dir))
	})
	t.Run("the folder is gone", func(t *testing.T) {
		s := newSite(t)
		s.publish(t, "zero", "1.0.0")
		tk, _ := s.publish(t, "one", "1.1.0")
		require.NoError(t, aside(s.dir)(t))
		for range 2 {
			require.NoError(t, s.step().Undo(t.Context(), tk))
			require.Equal(t, published(t, "1.0.0"), tree(t, s.dir))
		}
		require.Equal(t, published(t, "1.1.0"), tree(t, s.dir+".mine"))
	})
	for name, other := range map[string]func(t *testing.T, dir string) error{
		"another folder": func(t *testing.T, dir string) error { put(t, "mine", dir, "mine"); return nil },
		"a link":         func(t *testing.T, dir string) error { return os.Symlink(dir+".mine", dir) },
		"a file":         func(t *testing.T, dir string) error { put(t, "mine", dir); return nil },
	} {
		t.Run(name+" is there", func(t *testing.T) {
			for _, nothing := range []bool{true, false} {
				s := newSite(t)
				if !nothing {
					s.publish(t, "zero", "1.0.0")
				}
				tk, _ := s.publish(t, "one", "1.1.0")
				require.NoError(t, aside(s.dir)(t))
				require.NoError(t, other(t, s.dir))
				before, err := os.Lstat(s.dir)
				require.NoError(t, err)
				require.Error(t, s.step().Undo(t.Context(), tk))
				after, err := os.Lstat(s.dir)
				require.NoError(t, err)
				require.True(t, os.SameFile(before, after))
				require.Equal(t, published(t, "1.1.0"), tree(t, s.dir+".mine"))
				if !nothing {
					require.Equal(t, published(t, "1.0.0"), tree(t, s.beside(t, "*.old")[0]))
				}
			}
		})
	}
}

// everySwitch runs f with each way of exchanging two folders.
func everySwitch(t *testing.T, f func(t *testing.T, exchange func(a, b string) error)) {
	t.Parallel()
	for name, exchange := range map[string]func(a, b string) error{"in one step": step.Exchange, "by renames": unsupported} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, exchange)
		})
	}
}
