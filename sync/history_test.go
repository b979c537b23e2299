package sync_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// commits lists what a device sees of history.
func (w *world) commits(d *device, q cloudsync.CommitQuery) (all []cloudsync.Commit) {
	w.Helper()
	for c, err := range w.engine(d, new(process), false).Commits(w.Context(), q) {
		require.NoError(w, err)
		all = append(all, c)
	}
	return all
}

// open reads a file as a commit has it.
func (w *world) open(d *device, commit, path string) string {
	w.Helper()
	r, err := w.engine(d, new(process), false).Open(w.Context(), commit, path)
	require.NoError(w, err, path)
	data, err := io.ReadAll(r)
	require.NoError(w, err)
	require.NoError(w, r.Close())
	return string(data)
}

// wrote commits a file.
func (w *world) wrote(d *device, path, content string) (commit string) {
	w.Helper()
	d.disk.write(path, content)
	return w.must(d).Commit
}

func TestHistorySaysWhoMadeWhat(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("diary.md", "1")
	a.disk.write("d/x", "12")
	r, err := w.sync(a, new(process), cloudsync.Request{By: cloudsync.By{Actor: "ann", Reason: "supper"}})
	require.NoError(t, err)
	first := r.Commit
	w.must(b)
	second := w.wrote(b, "d/x", "of b")
	third := w.wrote(a, "diary.md", "3")

	all := w.commits(a, cloudsync.CommitQuery{})
	require.Len(t, all, 3)
	require.Equal(t, cloudsync.Commit{
		ID: first, Device: "A", Time: all[2].Time, By: cloudsync.By{Actor: "ann", Reason: "supper"}, Files: 2, Bytes: 3,
	}, all[2])
	require.Equal(t, []string{third, second, first}, ids(all))
	require.Equal(t, []string{second, first, ""}, []string{all[0].Parent, all[1].Parent, all[2].Parent})
	require.True(t, all[0].Time.After(all[1].Time))
	require.Equal(t, w.cloud.objects[cloudsync.HeadName(1)].Time, all[2].Time)

	for q, want := range map[cloudsync.CommitQuery][]string{
		{Path: "diary.md"}:             {third, first},
		{Path: "d"}:                    {second, first},
		{Path: "d/x"}:                  {second, first},
		{Path: "nothing"}:              nil,
		{Device: "B"}:                  {second},
		{After: third}:                 {second, first},
		{After: third, Path: "d/x"}:    {second, first},
		{After: second, Device: "A"}:   {first},
		{After: first}:                 nil,
		{Path: "diary.md", After: "x"}: nil,
	} {
		if q.After == "x" {
			_, err := last(w.engine(a, new(process), false).Commits(t.Context(), q))
			require.ErrorIs(t, err, cloudsync.ErrNotFound)
			continue
		}
		require.Equal(t, want, ids(w.commits(b, q)), "%+v", q)
	}
	require.Equal(t, "12", w.open(b, first, "d/x"))
	require.Equal(t, "of b", w.open(b, second, "d/x"))
	for _, absent := range [][2]string{{first, "none"}, {first, "d"}, {"none", "d/x"}} {
		_, err := w.engine(a, new(process), false).Open(t.Context(), absent[0], absent[1])
		require.ErrorIs(t, err, cloudsync.ErrNotFound, absent)
	}
}

func ids(all []cloudsync.Commit) (ids []string) {
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	return ids
}

// last is the last pair that a list has.
func last[T any](list func(func(T, error) bool)) (of T, err error) {
	for of, err = range list {
	}
	return of, err
}

func TestADiffTellsOfFiles(t *testing.T) {
	w := newWorld(t, 1)
	d := w.devices[0]
	for path, content := range map[string]string{"kept": "0", "edited": "1", "gone/x": "2", "moved": "3", "turned": "4", "mode": "5"} {
		d.disk.write(path, content)
	}
	first := w.must(d).Commit
	d.disk.write("edited", "more")
	d.disk.remove("gone")
	d.disk.rename("moved", "d/moved")
	d.disk.remove("turned")
	d.disk.write("turned/x", "6")
	d.disk.all["mode"].mode ^= 0o100
	d.disk.now += 8
	d.disk.all["mode"].changed = d.disk.tick()
	second := w.must(d).Commit
	d.disk.write("edited", "not committed")

	for _, to := range []string{second, ""} {
		var words []string
		for x, err := range w.engine(d, new(process), false).Diff(t.Context(), first, to) {
			require.NoError(t, err)
			words = append(words, fmt.Sprint(x.Kind, " ", x.Path, " ", x.From, " ", x.Size))
		}
		require.Equal(t, []string{
			"renamed d/moved moved 1", "edited edited  4", "deleted gone/x  0", "edited mode  1", "deleted turned  0", "added turned/x  1",
		}, words)
	}
	_, err := last(w.engine(d, new(process), false).Diff(t.Context(), first, "none"))
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
}

// TestALongHistoryIsReadWithFewRequests: the head stays small, however many
// commits there are.
func TestALongHistoryIsReadWithFewRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	d := w.devices[0]
	var made []string
	for i := range 1200 {
		made = append(made, w.wrote(d, "n", fmt.Sprint(i)))
	}
	head := w.cloud.objects[cloudsync.HeadName(1200)].Size
	require.Less(t, head, int64(64<<10))
	remote := syncertest.Counted(use{w.cloud, new(process)})
	e := cloudsync.NewEngine(cloudsync.EngineConfig{
		Device: "new", Files: mount{newDisk(), new(process), d.caps}, Remote: remote,
		Store: &notes{make(map[string][]byte), new(process)}, Sealer: plain{}, Parallel: 1,
	})
	n := 0
	for c, err := range e.Commits(t.Context(), cloudsync.CommitQuery{}) {
		require.NoError(t, err)
		if n++; n == 1000 {
			t.Logf("1,000 commits: %+v, a head of %d bytes", remote.Counts(), head)
			require.LessOrEqual(t, remote.Counts().Trips, 5)
		}
		require.Equal(t, made[1200-n], c.ID)
		require.False(t, c.Time.IsZero())
	}
	require.Equal(t, 1200, n)
	t.Logf("1,200 commits: %+v", remote.Counts())
	require.Equal(t, "3", w.open(d, made[3], "n"))

	_, err := w.engine(d, new(process), true).Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
	require.NoError(t, err)
	chapters := 0
	for name := range w.cloud.objects {
		if strings.HasPrefix(name, "log/") {
			chapters++
		}
	}
	require.LessOrEqual(t, chapters, 2, "nobody needs those that were shorter")
	all := ids(w.commits(d, cloudsync.CommitQuery{}))
	require.Equal(t, made[0], all[len(all)-1])
	require.Equal(t, "3", w.open(d, made[3], "n"))
}

func TestTaggedCommitsAreKept(t *testing.T) {
	w := newWorld(t, 1)
	d := w.devices[0]
	var made []string
	for i := range 150 {
		made = append(made, w.wrote(d, "n", fmt.Sprint(i)))
		w.cloud.now = w.cloud.now.Add(time.Hour)
	}
	e := w.engine(d, new(process), false)
	by := cloudsync.By{Actor: "ann", Reason: "it works"}
	for tag, i := range map[string]int{"first": 0, "works": 20, "also works": 20, "late": 140} {
		require.NoError(t, e.Tag(t.Context(), tag, made[i], by))
	}
	puts := w.cloud.puts
	require.NoError(t, e.Tag(t.Context(), "works", made[20], by))
	require.Equal(t, puts, w.cloud.puts, "it is so already")
	require.ErrorIs(t, e.Tag(t.Context(), "no", "none", by), cloudsync.ErrNotFound)
	require.ErrorIs(t, e.Tag(t.Context(), "", made[0], by), cloudsync.ErrInvalid)
	require.ErrorIs(t, e.Tag(t.Context(), strings.Repeat("x", 257), made[0], by), cloudsync.ErrInvalid)
	require.NoError(t, e.Tag(t.Context(), "late", "", by))

	_, err := w.engine(d, new(process), true).Compact(t.Context(), cloudsync.Retention{Age: 1}, by)
	require.NoError(t, err)
	all := w.commits(d, cloudsync.CommitQuery{})
	require.Equal(t, []string{made[20], made[0]}, ids(all)[len(all)-2:])
	require.Equal(t, []string{"also works", "works"}, all[len(all)-2].Tags)
	require.Equal(t, by, all[0].By)
	require.NotContains(t, ids(all), made[140])
	require.Equal(t, "20", w.open(d, made[20], "n"))
	require.Equal(t, "0", w.open(d, made[0], "n"))
	_, err = e.Open(t.Context(), made[140], "n")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
	w.settle()
}

// silent is a Remote that puts a head and says that it has not.
type silent struct{ cloudsync.Remote }

func (s silent) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	err := s.Remote.PutIfAbsent(ctx, name, body)
	if err == nil && strings.HasPrefix(name, "heads/") {
		err = cloudsync.ErrDenied
	}
	return err
}

// TestACommitOfWhichNobodyWasToldCountsHoweverManyFollow: its device was away, and
// what others have deleted since does not come back.
func TestACommitOfWhichNobodyWasToldCountsHoweverManyFollow(t *testing.T) {
	for _, many := range []int{3, 70, 140} { // a head lists 64 at most
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		w.wrote(b, "n", "text")
		w.must(a)
		w.planted = func(c *cloudsync.EngineConfig, u use, _ mount, _ bool) { c.Remote = silent{u} }
		a.disk.write("x", "text of a")
		_, err := w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrDenied)
		w.planted = nil
		w.must(b)
		require.Equal(t, "n=text x=text of a", b.disk.String())
		b.disk.remove("x")
		for i := range many {
			w.wrote(b, "n", fmt.Sprint(i))
		}
		w.must(a)
		require.Equal(t, fmt.Sprintf("n=%d", many-1), a.disk.String(), "after %d commits", many)
		w.settle()
		w.equal()
	}
}
