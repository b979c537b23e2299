package sync_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func (w *world) conflicts(d *device) (all []cloudsync.Conflict) {
	w.Helper()
	for c, err := range w.engine(d, new(process), false).Conflicts(w.Context()) {
		require.NoError(w, err)
		all = append(all, c)
	}
	return all
}

// clashing is a device that has a conflict, and another one.
func clashing(t testing.TB, path string) *world {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write(path, "base")
	w.must(a)
	w.must(b)
	a.disk.write(path, "of a")
	b.disk.write(path, "of b")
	w.settle()
	w.equal()
	return w
}

func TestAConflictIsEnded(t *testing.T) {
	for keep, want := range map[cloudsync.Keep]string{
		cloudsync.KeepFile: "d/ d/n.md=of a",
		cloudsync.KeepCopy: "d/ d/n.md=of b",
		cloudsync.KeepBoth: "d/ d/n 2.md=of b d/n.md=of a",
	} {
		w := clashing(t, "d/n.md")
		a := w.devices[0]
		all := w.conflicts(a)
		require.Len(t, all, 1)
		require.Equal(t, "d/n.md", all[0].Path)
		require.Regexp(t, `^d/n \(conflict [0-9a-f]{8}\)\.md$`, all[0].Copy)
		puts := w.cloud.puts
		require.NoError(t, w.engine(a, new(process), false).Resolve(t.Context(), all[0], keep))
		require.Equal(t, want, a.disk.String())
		require.Equal(t, puts, w.cloud.puts)
		w.settle()
		w.equal()
		require.Equal(t, want, a.disk.String())
		require.Empty(t, w.conflicts(a))
		require.ErrorIs(t, w.engine(a, new(process), false).Resolve(t.Context(), all[0], keep), cloudsync.ErrStale)
	}
}

func TestAConflictThatHasChangedStays(t *testing.T) {
	w := clashing(t, "n.md")
	a := w.devices[0]
	c := w.conflicts(a)[0]
	e := w.engine(a, new(process), false)
	for name, wrong := range map[string]cloudsync.Conflict{
		"other copy":   {Path: c.Path, Copy: "other (conflict 01234567).md", PathHash: c.PathHash, CopyHash: c.CopyHash},
		"no copy":      {Path: c.Path, Copy: c.Path, PathHash: c.PathHash, CopyHash: c.PathHash},
		"outside":      {Path: "../n.md", Copy: "../n (conflict 01234567).md"},
		"of ourselves": {Path: ".upkeep/x", Copy: ".upkeep/x (conflict 01234567)"},
	} {
		require.ErrorIs(t, e.Resolve(t.Context(), wrong, cloudsync.KeepFile), cloudsync.ErrInvalid, name)
	}
	require.ErrorIs(t, e.Resolve(t.Context(), c, "neither"), cloudsync.ErrInvalid)
	a.disk.write("n.md", "of c")
	require.ErrorIs(t, e.Resolve(t.Context(), c, cloudsync.KeepCopy), cloudsync.ErrStale)
	now := w.conflicts(a)[0]
	require.NotEqual(t, c.PathHash, now.PathHash)
	require.Equal(t, c.CopyHash, now.CopyHash)

	a.disk.remove("n.md")
	now = w.conflicts(a)[0]
	require.Empty(t, now.PathHash)
	require.ErrorIs(t, e.Resolve(t.Context(), now, cloudsync.KeepFile), cloudsync.ErrInvalid, "nothing would be left")
	a.disk.write("n.md/deep", "x")
	require.ErrorIs(t, e.Resolve(t.Context(), now, cloudsync.KeepCopy), cloudsync.ErrInvalid)
	require.NoError(t, e.Resolve(t.Context(), now, cloudsync.KeepBoth))
	require.Equal(t, "n 2.md=of b n.md/ n.md/deep=x", a.disk.String())

	a.ignores["quiet"] = true
	a.disk.write("quiet/n (conflict 01234567).md", "ignored")
	require.Empty(t, w.conflicts(a))
}

// TestEndingAConflictLosesNothing: wherever it dies, and whatever is edited
// meanwhile.
func TestEndingAConflictLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("0123456789abcdef", 50_000) // of more than one chunk, in no commit
		for _, keep := range []cloudsync.Keep{cloudsync.KeepFile, cloudsync.KeepCopy, cloudsync.KeepBoth} {
			for n := 1; ; n++ {
				dead := 0
				for how := range 4 {
					w := clashing(t, "n.md")
					d := w.devices[0]
					c := w.conflicts(d)[0]
					if n%10 == 0 && how < 2 {
						d.disk.write(c.Copy, large)
						c = w.conflicts(d)[0]
					}
					beside := d.disk.all[c.Copy].content
					edited := []string{"", "", c.Path, c.Copy}[how]
					p := &process{}
					if how < 2 {
						p.dies, p.after = n, how == 1
					} else {
						p.during = map[int]func(){n: func() { d.disk.write(edited, "edit meanwhile") }}
					}
					d.disk.now += 8
					err := w.engine(d, p, false).Resolve(t.Context(), c, keep)
					if p.dead {
						require.Error(t, err)
						dead++
					}
					w.settle()
					text := d.disk.String()
					if how >= 2 && p.calls >= n {
						require.Contains(t, text, "edit meanwhile", "%s %d: %v", keep, n, err)
					}
					at := fmt.Sprintf("%s %d, %d: %v: %s", keep, n, how, err, text)
					if how < 2 && keep != cloudsync.KeepFile {
						require.Contains(t, text, brief(beside), at)
					}
					if how < 2 && keep != cloudsync.KeepCopy {
						require.Contains(t, text, "n.md=of a", at)
					}
				}
				if dead == 0 {
					require.Greater(t, n, 10)
					break
				}
			}
		}
	})
}
