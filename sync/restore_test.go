package sync_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func (w *world) restore(d *device, p *process, r cloudsync.RestoreRequest) (cloudsync.EngineResult, error) {
	d.disk.now += 8
	return w.engine(d, p, false).Restore(w.Context(), r)
}

func TestOlderContentIsBroughtBack(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	for path, content := range map[string]string{"n.md": "old", "d/x": "old x", "d/y": "old y", "gone/z": "old z", "turned": "file"} {
		a.disk.write(path, content)
	}
	old := w.must(a).Commit
	a.disk.write("n.md", "new")
	a.disk.write("d/x", "new x")
	a.disk.write("d/since", "stays")
	a.disk.remove("gone")
	a.disk.write("turned/deep", "folder")
	newer := w.must(a).Commit
	w.must(b)

	for name, tt := range map[string]struct {
		request cloudsync.RestoreRequest
		want    string
		problem string
	}{
		"a file":          {cloudsync.RestoreRequest{Paths: []string{"n.md"}}, "d/ d/since=stays d/x=new x d/y=old y n.md=old turned/ turned/deep=folder", ""},
		"a folder":        {cloudsync.RestoreRequest{Paths: []string{"d", "d/y"}}, "d/ d/since=stays d/x=old x d/y=old y n.md=new turned/ turned/deep=folder", ""},
		"what is gone":    {cloudsync.RestoreRequest{Paths: []string{"gone/z"}}, "d/ d/since=stays d/x=new x d/y=old y gone/ gone/z=old z n.md=new turned/ turned/deep=folder", ""},
		"all":             {cloudsync.RestoreRequest{}, "d/ d/since=stays d/x=old x d/y=old y gone/ gone/z=old z n.md=old turned/ turned/deep=folder", "turned"},
		"elsewhere":       {cloudsync.RestoreRequest{Paths: []string{"d/x"}, Into: "d/old"}, "d/ d/old/ d/old/d/ d/old/d/x=old x d/since=stays d/x=new x d/y=old y n.md=new turned/ turned/deep=folder", ""},
		"under a file":    {cloudsync.RestoreRequest{Paths: []string{"d/x"}, Into: "n.md"}, "d/ d/since=stays d/x=new x d/y=old y n.md=new turned/ turned/deep=folder", "n.md/d/x"},
		"over a folder":   {cloudsync.RestoreRequest{Paths: []string{"turned"}}, "d/ d/since=stays d/x=new x d/y=old y n.md=new turned/ turned/deep=folder", "turned"},
		"all, from there": {cloudsync.RestoreRequest{Into: "old"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			here := &device{name: "C", disk: newDisk(), notes: make(map[string][]byte), caps: a.caps}
			w := &world{TB: t, cloud: w.cloud, touched: make(map[string]bool)}
			w.must(here)
			tt.request.Commit = old
			r, err := w.restore(here, new(process), tt.request)
			require.NoError(t, err)
			require.Equal(t, newer, r.Commit)
			require.Empty(t, r.Conflicts)
			if tt.want != "" {
				require.Equal(t, tt.want, here.disk.String())
			} else {
				require.Contains(t, here.disk.String(), "old/d/x=old x old/d/y=old y old/gone/ old/gone/z=old z old/n.md=old old/turned=file")
			}
			if tt.problem == "" {
				require.Empty(t, r.Problems)
			} else {
				require.Equal(t, tt.problem, r.Problems[0].Path)
			}
		})
	}
	for _, wrong := range []cloudsync.RestoreRequest{
		{}, {Commit: old, Paths: []string{"../x"}}, {Commit: old, Paths: []string{".upkeep/equals"}}, {Commit: old, Into: "/d"}, {Commit: old, Paths: make([]string, 1001)},
	} {
		_, err := w.restore(a, new(process), wrong)
		require.ErrorIs(t, err, cloudsync.ErrInvalid, "%+v", wrong)
	}
	for _, absent := range []cloudsync.RestoreRequest{{Commit: "none"}, {Commit: newer, Paths: []string{"gone/z"}}} {
		_, err := w.restore(a, new(process), absent)
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
	}
}

func TestWhatIsIgnoredIsNotRestored(t *testing.T) {
	w := newWorld(t, 1)
	d := w.devices[0]
	d.disk.write("quiet/x", "old")
	old := w.wrote(d, "n", "old")
	d.disk.write("quiet/x", "new")
	w.wrote(d, "n", "new")
	d.ignores["quiet"] = true
	_, err := w.restore(d, new(process), cloudsync.RestoreRequest{Commit: old})
	require.NoError(t, err)
	require.Equal(t, "n=old quiet/ quiet/x=new", d.disk.String())
}

// TestARestoreMeetsAnEdit: the restored text and an edit of another device are
// both kept.
func TestARestoreMeetsAnEdit(t *testing.T) {
	for _, edited := range []bool{true, false} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		var made []string
		for i := range 20 {
			made = append(made, w.wrote(a, "n.md", fmt.Sprint("text ", i+1)))
		}
		w.wrote(a, "m.md", "1")
		w.must(b)
		_, err := w.restore(a, new(process), cloudsync.RestoreRequest{Commit: made[9], Paths: []string{"n.md"}})
		require.NoError(t, err)
		if edited {
			w.wrote(b, "n.md", "edit of b")
		}
		w.wrote(b, "m.md", "2")
		w.must(a)
		w.must(b)
		w.equal()
		text := a.disk.String()
		require.Contains(t, text, "m.md=2")
		require.Contains(t, text, "=text 10")
		require.Equal(t, edited, strings.Contains(text, "n.md=edit of b"))
		require.Equal(t, edited, strings.Contains(text, "conflict"))
	}
}

// TestARestoreLosesNothing: wherever it dies, and whatever somebody does meanwhile.
func TestARestoreLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; ; n++ {
			dead := 0
			for how := range 3 {
				w := newWorld(t, 1)
				d := w.devices[0]
				d.disk.write("n.md", "old")
				d.disk.write("d/x", "old x")
				old := w.must(d).Commit
				w.wrote(d, "d/x", "committed")
				d.disk.write("n.md", "never committed")
				p := &process{}
				switch how {
				case 0, 1:
					p.dies, p.after = n, how == 1
				case 2:
					p.during = map[int]func(){n: func() { d.disk.write("n.md", "edit meanwhile") }}
				}
				_, err := w.restore(d, p, cloudsync.RestoreRequest{Commit: old})
				if p.dead {
					require.Error(t, err)
					dead++
				}
				w.settle()
				text := d.disk.String()
				if how < 2 {
					require.Contains(t, text, "never committed", "%d, %d", n, how)
				} else if p.calls >= n {
					require.Contains(t, text, "edit meanwhile", "%d: %v", n, err)
				}
				if err == nil && how < 2 {
					require.Contains(t, text, "n.md=old")
					require.Contains(t, text, "d/x=old x")
				}
				for path := range d.disk.all {
					require.False(t, strings.HasPrefix(path, cloudsync.Staging+"/") && path != cloudsync.Staging+"/equals", path)
				}
			}
			if dead == 0 {
				require.Greater(t, n, 20)
				return
			}
		}
	})
}

func TestAForcePullKeepsHistory(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("n.md", "1")
	a.disk.write("same", "same")
	w.must(a)
	w.must(b)
	theirs := w.wrote(a, "n.md", "2")
	b.disk.write("n.md", "never committed")
	b.disk.write("new/x", "nor this")
	d := b.disk
	d.now += 8
	r, err := w.sync(b, new(process), cloudsync.Request{Mode: cloudsync.ModeForcePull, By: cloudsync.By{Actor: "bob"}})
	require.NoError(t, err)
	require.True(t, r.Committed)
	require.Equal(t, "n.md=2 same=same", d.String())
	all := w.commits(a, cloudsync.CommitQuery{})
	require.Len(t, all, 4)
	require.Equal(t, r.Commit, all[0].ID)
	require.Equal(t, r.Commit+"-shelf", all[1].ID)
	require.Equal(t, []string{theirs, theirs}, []string{all[0].Parent, all[1].Parent})
	require.Equal(t, []int64{2, 3}, []int64{all[0].Files, all[1].Files})
	require.Equal(t, "never committed", w.open(a, all[1].ID, "n.md"))
	require.Equal(t, "nor this", w.open(a, all[1].ID, "new/x"))
	puts := w.cloud.puts
	w.must(a)
	w.equal()
	d.now += 8
	_, err = w.sync(b, new(process), cloudsync.Request{Mode: cloudsync.ModeForcePull})
	require.NoError(t, err)
	require.Equal(t, puts, w.cloud.puts, "nothing is taken away")

	e := w.engine(a, new(process), true)
	_, err = e.Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
	require.NoError(t, err)
	require.Equal(t, "never committed", w.open(a, all[1].ID, "n.md"))
	require.NoError(t, e.Tag(t.Context(), "mine", all[1].ID, cloudsync.By{}))
	_, err = e.Compact(t.Context(), cloudsync.Retention{Age: 1}, cloudsync.By{})
	require.NoError(t, err)
	require.Equal(t, "nor this", w.open(a, all[1].ID, "new/x"))
	require.NoError(t, e.Tag(t.Context(), "mine", "", cloudsync.By{}))
	_, err = e.Compact(t.Context(), cloudsync.Retention{Age: 1}, cloudsync.By{})
	require.NoError(t, err)
	_, err = e.Open(t.Context(), all[1].ID, "n.md")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
}

func TestStatusTellsWhatARestoreCouldNotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		for _, err := range a.Commits(t.Context(), cloudsync.CommitQuery{}) {
			require.NoError(t, err, "nothing was ever synced")
		}
		a.disk.write("n", "1")
		a.disk.write("d/x", "2")
		first := a.sync(cloudsync.Request{}).Commit
		restored := func(q cloudsync.RestoreRequest) (paths []string) {
			q.Commit = first
			run, err := a.Restore(t.Context(), q)
			require.NoError(t, err)
			_, err = a.Wait(t.Context(), run.ID)
			require.NoError(t, err)
			status, err := a.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, first, status.Commit)
			require.NotZero(t, status.SyncedAt)
			for _, p := range status.Problems {
				paths = append(paths, p.Path)
			}
			return paths
		}
		require.Empty(t, restored(cloudsync.RestoreRequest{Into: "back/of/it"}))
		require.Equal(t, fs.FileMode(0o755), a.disk.all["back/of/it"].mode.Perm(), "as of any folder that is new")
		require.Equal(t, []string{"n/d/x"}, restored(cloudsync.RestoreRequest{Paths: []string{"d/x"}, Into: "n"}))
		a.sync(cloudsync.Request{})
		require.Contains(t, a.disk.String(), "back/of/it/d/x=2")
		status, err := a.Status(t.Context())
		require.NoError(t, err)
		require.Empty(t, status.Problems)
		_, err = a.Restore(t.Context(), cloudsync.RestoreRequest{Commit: first, Paths: []string{"n", ""}})
		require.ErrorIs(t, err, cloudsync.ErrInvalid, "it is not the whole commit")
	})
}
