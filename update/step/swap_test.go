package step_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// installed is a program in a folder of its own, with an artifact for it.
type installed struct {
	path     string
	artifact step.Artifact
	file     os.FileInfo // of the program at first
}

// app is what the program says, for tests that do not run it.
func app(version string) string { return "program " + version }

func newInstalled(t *testing.T) installed {
	t.Helper()
	// Links in the way to it are the tests' own.
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	in := installed{path: filepath.Join(dir, "app"), artifact: step.Artifact{Dir: t.TempDir()}}
	require.NoError(t, os.Chmod(in.artifact.Dir, 0o700))
	require.NoError(t, os.WriteFile(in.path, []byte(app("1.0.0")), 0o600))
	require.NoError(t, os.Chmod(in.path, 0o751))
	in.file, err = os.Stat(in.path)
	require.NoError(t, err)
	return in
}

// task is one that installs a release with this content, which is downloaded.
func (in installed) task(t *testing.T, id, content string) *update.Task {
	t.Helper()
	tk := releaseTask(releaseOf([]byte(content)))
	tk.Run.ID = id
	require.NoError(t, os.WriteFile(in.artifact.File(tk), []byte(content), 0o600))
	return tk
}

func (in installed) binary() step.Binary { return step.Binary{Path: in.path, Artifact: in.artifact} }

// content is what stands where the program is.
func (in installed) content(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(in.path)
	require.NoError(t, err)
	return string(data)
}

// beside returns the names in the folder beside the program.
func (in installed) beside(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(filepath.Dir(in.path), ".app.upkeep"))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// eachGap runs f as on a system that can replace a program that runs, and as
// on one that cannot.
func eachGap(t *testing.T, f func(t *testing.T, gap bool)) {
	t.Run("in one rename", func(t *testing.T) { f(t, false) })
	t.Run("in two renames", func(t *testing.T) { f(t, true) })
}

// renames counts the renames that give a program its name.
type renames struct {
	durable.Disk
	path string
	n    *int
}

func (d renames) Rename(path, name string) error {
	if name == d.path {
		*d.n++
	}
	return d.Disk.Rename(path, name)
}

func TestSwapBinaryReplacesAProgram(t *testing.T) {
	eachGap(t, func(t *testing.T, gap bool) {
		in, n := newInstalled(t), 0
		s, tk := step.SwapOn(renames{durable.OS, in.path, &n}, gap, in.binary()), in.task(t, "one", app("1.1.0"))
		require.NoError(t, s.Check(t.Context(), tk))
		require.Empty(t, in.beside(t), "a check changes nothing")
		require.NoError(t, s.Do(t.Context(), tk))
		require.NoError(t, s.Verify(t.Context(), tk))
		require.Equal(t, app("1.1.0"), in.content(t))
		require.Equal(t, 1, n)

		info, err := os.Stat(in.path)
		require.NoError(t, err)
		require.Equal(t, in.file.Mode(), info.Mode())
		require.Equal(t, []string{"lock", "old-one", "trial.json"}, in.beside(t))
		folder := filepath.Join(filepath.Dir(in.path), ".app.upkeep")
		old, err := os.Stat(filepath.Join(folder, "old-one"))
		require.NoError(t, err)
		require.True(t, os.SameFile(in.file, old), "the old program is kept, not copied")
		info, err = os.Stat(folder)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		require.Empty(t, downloads(t, in.artifact.Dir))
	})
}

func TestSwapBinaryPutsTheOldProgramBack(t *testing.T) {
	eachGap(t, func(t *testing.T, gap bool) {
		in := newInstalled(t)
		s, tk := step.SwapOn(durable.OS, gap, in.binary()), in.task(t, "one", app("1.1.0"))
		require.NoError(t, s.Undo(t.Context(), tk), "nothing has begun")
		require.Empty(t, in.beside(t))
		require.NoError(t, s.Do(t.Context(), tk))
		for range 2 {
			require.NoError(t, s.Undo(t.Context(), tk))
			info, err := os.Stat(in.path)
			require.NoError(t, err)
			require.True(t, os.SameFile(in.file, info))
		}
	})
}

func TestSwapBinaryThatNeverBeganHasNothingToTakeBack(t *testing.T) {
	eachGap(t, func(t *testing.T, gap bool) {
		in := newInstalled(t)
		s, tk := step.SwapOn(durable.OS, gap, in.binary()), in.task(t, "one", app("1.1.0"))
		require.NoError(t, s.Check(t.Context(), tk))
		require.NoError(t, os.Remove(in.path)) // meanwhile, by somebody else
		require.ErrorIs(t, s.Do(t.Context(), tk), fs.ErrNotExist)
		require.NoError(t, s.Undo(t.Context(), tk))
	})
}

func TestSwapBinaryKeepsTwoOldPrograms(t *testing.T) {
	in := newInstalled(t)
	s := step.SwapBinary(in.binary())
	var tasks []*update.Task
	for _, id := range []string{"one", "two", "three"} {
		tasks = append(tasks, in.task(t, id, app(id)))
		require.NoError(t, s.Do(t.Context(), tasks[len(tasks)-1]))
	}
	require.Equal(t, []string{"lock", "old-three", "old-two", "trial.json"}, in.beside(t))
	require.ErrorContains(t, s.Undo(t.Context(), tasks[1]), "somebody else has replaced", "the last one first")
	require.Equal(t, app("three"), in.content(t))
	require.NoError(t, s.Undo(t.Context(), tasks[2]))
	require.Equal(t, app("two"), in.content(t))
	require.NoError(t, s.Undo(t.Context(), tasks[1]))
	require.Equal(t, app("one"), in.content(t))
	require.ErrorIs(t, s.Undo(t.Context(), tasks[0]), fs.ErrNotExist, "its old program is not kept any more")
	require.Equal(t, app("one"), in.content(t))
}

func TestSwapBinaryFollowsLinks(t *testing.T) {
	in := newInstalled(t)
	links := t.TempDir()
	require.NoError(t, os.Symlink(in.path, filepath.Join(links, "first")))
	require.NoError(t, os.Symlink("first", filepath.Join(links, "second")))
	b := in.binary()
	b.Path = filepath.Join(links, "second")
	require.NoError(t, step.SwapBinary(b).Do(t.Context(), in.task(t, "one", app("1.1.0"))))
	require.Equal(t, app("1.1.0"), in.content(t))
	info, err := os.Lstat(filepath.Join(links, "second"))
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode().Type())
	entries, err := os.ReadDir(links)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestSwapBinaryDoesNothingWhenTheProgramIsThere(t *testing.T) {
	in := newInstalled(t)
	s, tk := step.SwapBinary(in.binary()), in.task(t, "one", app("1.0.0"))
	require.NoError(t, s.Do(t.Context(), tk))
	require.NoError(t, s.Verify(t.Context(), tk))
	require.NoError(t, s.Undo(t.Context(), tk))
	info, err := os.Stat(in.path)
	require.NoError(t, err)
	require.True(t, os.SameFile(in.file, info))
	require.Equal(t, []string{"lock"}, in.beside(t))
}

func TestSwapBinaryChecksTheArtifactAgain(t *testing.T) {
	in := newInstalled(t)
	s, tk := step.SwapBinary(in.binary()), in.task(t, "one", app("1.1.0"))
	require.NoError(t, os.WriteFile(in.artifact.File(tk), []byte(app("1.1.x")), 0o600))
	require.ErrorContains(t, s.Do(t.Context(), tk), "SHA-256")
	require.NoError(t, s.Undo(t.Context(), tk))
	require.Equal(t, app("1.0.0"), in.content(t))
	require.Equal(t, []string{"lock"}, in.beside(t))
}

// meddling calls meddle once, before a call that gives something a name that
// ends so.
type meddling struct {
	durable.Disk
	ending string
	meddle func()
}

func (d *meddling) Rename(path, name string) error {
	if d.meddle != nil && strings.HasSuffix(name, d.ending) {
		d.meddle()
		d.meddle = nil
	}
	return d.Disk.Rename(path, name)
}

// replaceByHand puts a program in place as a package manager does.
func (in installed) replaceByHand(t *testing.T, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(in.path+".hand", []byte(content), 0o755))
	require.NoError(t, os.Chtimes(in.path+".hand", in.file.ModTime(), in.file.ModTime()))
	require.NoError(t, os.Rename(in.path+".hand", in.path))
}

func TestSwapBinaryRefusesToReplaceWhatSomebodyElseHasPutThere(t *testing.T) {
	const theirs = "program 9.0.0" // of the same size and, by hand, the same time
	t.Run("while it is being replaced", func(t *testing.T) {
		in := newInstalled(t)
		disk := &meddling{durable.OS, "trial.json", func() { in.replaceByHand(t, theirs) }}
		s, tk := step.SwapOn(disk, false, in.binary()), in.task(t, "one", app("1.1.0"))
		require.ErrorContains(t, s.Do(t.Context(), tk), "somebody else has replaced the program")
		require.NoError(t, s.Undo(t.Context(), tk))
		require.Equal(t, theirs, in.content(t))
		require.Equal(t, []string{"lock"}, in.beside(t))
	})
	t.Run("in place, while it is being replaced", func(t *testing.T) {
		in := newInstalled(t)
		disk := &meddling{durable.OS, "trial.json", func() { require.NoError(t, os.WriteFile(in.path, []byte(theirs), 0o755)) }}
		require.ErrorContains(t, step.SwapOn(disk, false, in.binary()).Do(t.Context(), in.task(t, "one", app("1.1.0"))), "somebody else")
		require.Equal(t, theirs, in.content(t))
	})
	t.Run("between two attempts", func(t *testing.T) {
		in := newInstalled(t)
		tk := in.task(t, "one", app("1.1.0"))
		require.Error(t, step.SwapOn(newFailing(durable.OS, 4), false, in.binary()).Do(t.Context(), tk))
		in.replaceByHand(t, theirs)
		s := step.SwapBinary(in.binary())
		require.ErrorContains(t, s.Do(t.Context(), tk), "somebody else")
		require.NoError(t, s.Undo(t.Context(), tk))
		require.Equal(t, theirs, in.content(t))
	})
	t.Run("before it is taken back", func(t *testing.T) {
		in := newInstalled(t)
		s, tk := step.SwapBinary(in.binary()), in.task(t, "one", app("1.1.0"))
		require.NoError(t, s.Do(t.Context(), tk))
		in.replaceByHand(t, theirs)
		require.ErrorContains(t, s.Verify(t.Context(), tk), "somebody else")
		require.ErrorContains(t, s.Undo(t.Context(), tk), "somebody else")
		require.Equal(t, theirs, in.content(t))
	})
}

func TestTwoUpdatersAtOnceLeaveOneProgram(t *testing.T) {
	in := newInstalled(t)
	var contents []string
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		content := strings.Repeat(id, 100_000)
		contents = append(contents, content)
		s, tk := step.SwapBinary(in.binary()), in.task(t, id, content)
		wg.Go(func() {
			err := s.Do(context.Background(), tk)
			if err != nil {
				err = s.Undo(context.Background(), tk)
				mu.Lock()
				lost++
				mu.Unlock()
			} else {
				mu.Lock()
				won++
				mu.Unlock()
			}
			if err != nil && !strings.Contains(err.Error(), "somebody else") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.GreaterOrEqual(t, won, 1)
	require.Equal(t, 4, won+lost)
	require.True(t, slices.Contains(contents, in.content(t)), "what is there is whole")
}

func TestSwapBinaryFindsOutBeforehandWhatItCannotReplace(t *testing.T) {
	tests := []struct {
		name, message string // "" for none
		change        func(t *testing.T, in *installed, b *step.Binary, r *update.Release)
	}{
		{"a program", "", func(*testing.T, *installed, *step.Binary, *update.Release) {}},
		{"the program that runs", "", func(_ *testing.T, _ *installed, b *step.Binary, _ *update.Release) { b.Path = "" }},
		{"no program", "no such file", func(_ *testing.T, in *installed, b *step.Binary, _ *update.Release) { b.Path += "x" }},
		{"a folder", "is not a regular file", func(_ *testing.T, in *installed, b *step.Binary, _ *update.Release) { b.Path = filepath.Dir(in.path) }},
		{"a program that runs as somebody else", "set-user-ID", func(t *testing.T, in *installed, _ *step.Binary, _ *update.Release) {
			require.NoError(t, os.Chmod(in.path, 0o755|fs.ModeSetuid))
		}},
		{"no artifact", "needs an Artifact", func(_ *testing.T, _ *installed, b *step.Binary, _ *update.Release) { b.Artifact.Dir = "" }},
		{"a program that may start less than never", "-1 Starts", func(_ *testing.T, _ *installed, b *step.Binary, _ *update.Release) { b.Starts = -1 }},
		{"a member that is none", "cannot be the name", func(_ *testing.T, _ *installed, b *step.Binary, _ *update.Release) { b.Member = "../app" }},
		{"a member with a placeholder", "", func(_ *testing.T, _ *installed, b *step.Binary, _ *update.Release) { b.Member = "app_{version}/app" }},
		{"a release that is not signed", "is not signed", func(_ *testing.T, _ *installed, b *step.Binary, _ *update.Release) {
			key, _ := step.ParseKey(minisignKey)
			b.Artifact.Keys = []step.Key{key}
		}},
		{"a folder of everybody beside it", "of this user alone", func(t *testing.T, in *installed, _ *step.Binary, _ *update.Release) {
			folder := filepath.Join(filepath.Dir(in.path), ".app.upkeep")
			require.NoError(t, os.Mkdir(folder, 0o755))
			require.NoError(t, os.Chmod(folder, 0o777))
		}},
		{"a file beside it", "of this user alone", func(t *testing.T, in *installed, _ *step.Binary, _ *update.Release) {
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(in.path), ".app.upkeep"), nil, 0o600))
		}},
		{"a link beside it", "of this user alone", func(t *testing.T, in *installed, _ *step.Binary, _ *update.Release) {
			require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(filepath.Dir(in.path), ".app.upkeep")))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(tt.message, "user") {
				t.Skip("modes mean nothing here")
			}
			in := newInstalled(t)
			b, tk := in.binary(), in.task(t, "one", app("1.1.0"))
			tt.change(t, &in, &b, &tk.Release)
			err := step.SwapBinary(b).Check(t.Context(), tk)
			if tt.message == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.message)
			if strings.Contains(tt.message, "of this user alone") {
				require.ErrorContains(t, step.SwapBinary(b).Do(t.Context(), tk), tt.message)
				require.Equal(t, app("1.0.0"), in.content(t))
			}
		})
	}
}
