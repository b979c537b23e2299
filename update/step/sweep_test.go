package step_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestNoSweepOfCopiesRemovesWhatSomebodyElseHasPutThere(t *testing.T) {
	_, s := site(t)
	s.Keep = 2
	name, err := s.Save(t.Context(), task("a", "1.1.0"))
	require.NoError(t, err)
	prefix := name[:len(name)-len("a.db")]
	var mine []string
	for _, other := range []string{
		prefix + "before-the-holidays.db", prefix + "a.db.gz", prefix + "aa.db", prefix + "a (copy).db",
		".new-" + prefix + "plan.txt", ".new-" + prefix + "a.db", prefix + "a-replaced-by-me.db", "site.db",
	} {
		mine = append(mine, put(t, "mine", s.Dir, other))
	}
	for _, id := range []string{"b", "c", "d"} {
		_, err := s.Save(t.Context(), task(id, "1.1.0"))
		require.NoError(t, err)
	}
	require.NoFileExists(t, filepath.Join(s.Dir, name))
	for _, path := range mine {
		require.FileExists(t, path)
	}
}

func TestNoSweepOfDownloadsRemovesWhatSomebodyElseHasPutThere(t *testing.T) {
	content := noise(100)
	a := step.Artifact{Dir: filepath.Join(t.TempDir(), "downloads"), Client: fetchtest.Serve(t, fetchtest.Offer(content, `"v1"`))}
	require.NoError(t, os.Mkdir(a.Dir, 0o700))
	tk := releaseTask(releaseOf(content))
	name := filepath.Base(a.File(tk))
	prefix := name[:len(name)-len(tk.Run.ID)]
	left := put(t, "", a.Dir, prefix+"earlier")
	part := put(t, "", a.Dir, prefix+"earlier.ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	mine := []string{
		put(t, "mine", a.Dir, prefix+"notes.txt"), put(t, "mine", a.Dir, name+".notes"), put(t, "mine", a.Dir, "notes"),
	}
	dir := filepath.Join(a.Dir, prefix+"folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, step.Download(a).Do(t.Context(), tk))
	require.NoError(t, step.Download(a).Undo(t.Context(), tk))
	for _, path := range mine {
		require.FileExists(t, path)
	}
	require.DirExists(t, dir)
	require.NoFileExists(t, left)
	require.NoFileExists(t, part)
	require.NoFileExists(t, a.File(tk))
}

func TestNoSweepOfProgramsRemovesWhatSomebodyElseHasPutThere(t *testing.T) {
	in := newInstalled(t)
	beside := filepath.Join(filepath.Dir(in.path), "."+filepath.Base(in.path)+".upkeep")
	require.NoError(t, os.Mkdir(beside, 0o700))
	mine := put(t, "mine", beside, "notes.txt")
	dir := filepath.Join(beside, "old-folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for _, id := range []string{"one", "two", "three"} {
		require.NoError(t, step.SwapBinary(in.binary()).Do(t.Context(), in.task(t, id, "program "+id)))
	}
	require.FileExists(t, mine)
	require.DirExists(t, dir)
}
