package sync_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// size is how many bytes the cloud has.
func (c *cloud) size() (all int64) {
	for _, o := range c.objects {
		all += o.Size
	}
	return all
}

func TestOldCommitsAreForgotten(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		keep cloudsync.Retention
		want []int // commits, by the six hours since the first
	}{
		"all":       {cloudsync.Retention{Daily: 1, Weekly: 1}, nil},
		"young":     {cloudsync.Retention{Age: day}, []int{79, 78, 77, 76}},
		"days":      {cloudsync.Retention{Age: day / 2, Daily: 3}, []int{79, 78, 77, 75, 71}},
		"weeks":     {cloudsync.Retention{Age: 1, Weekly: 3}, []int{79, 78, 71, 43}},
		"both":      {cloudsync.Retention{Age: 1, Daily: 2, Weekly: 2}, []int{79, 78, 75, 71}},
		"very many": {cloudsync.Retention{Age: 365 * day, Daily: 2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			d := w.devices[0]
			var made []string
			for i := range 80 { // from Thursday on
				w.cloud.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * day / 4)
				d.disk.write("n", fmt.Sprint(i))
				made = append(made, w.must(d).Commit)
			}
			before, objects := w.cloud.size(), maps.Clone(w.cloud.objects)
			e := w.engine(d, new(process), true)
			planned, err := e.PlanCompact(t.Context(), tt.keep)
			require.NoError(t, err)
			require.Equal(t, before, w.cloud.size())
			done, err := e.Compact(t.Context(), tt.keep, cloudsync.By{})
			require.NoError(t, err)
			var want []string
			for _, i := range tt.want {
				want = append(want, made[i])
			}
			all := ids(w.commits(d, cloudsync.CommitQuery{}))
			require.Equal(t, done.Commit, all[0])
			if tt.want == nil {
				require.Subset(t, all, made)
				require.Zero(t, done.Forgotten)
			} else {
				require.Equal(t, want, all[len(all)-len(want):], "%v", all)
				require.Equal(t, 80-len(want), done.Forgotten)
			}
			maps.DeleteFunc(objects, func(name string, _ cloudsync.Object) bool { return w.cloud.content[name] != nil })
			require.Len(t, objects, done.Objects)
			for i, id := range made {
				if _, err := e.Open(t.Context(), id, "n"); err == nil {
					require.Equal(t, fmt.Sprint(i), w.open(d, id, "n"))
				}
			}
			require.Equal(t, before-w.cloud.size(), done.Bytes)
			require.Equal(t, planned.Forgotten, done.Forgotten)
			require.Equal(t, planned.Objects, done.Objects)
			w.settle()
			w.equal()
		})
	}
}

func TestADeviceDoesNotSendAgainWhatAnotherHasDeleted(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	a.disk.write("photo", "text of the photo")
	w.settle()
	a.disk.remove("photo")
	w.must(a)
	w.cloud.now = w.cloud.now.Add(time.Hour)
	w.wrote(a, "n", "1")
	_, err := w.engine(a, new(process), true).Compact(t.Context(), cloudsync.Retention{Age: 1}, cloudsync.By{})
	require.NoError(t, err)
	require.Empty(t, w.cloud.first("packs/", "text of the photo"))
	w.wrote(b, "m", "2")
	require.Empty(t, w.cloud.first("packs/", "text of the photo"))
	w.settle()
	w.equal()
}

func TestAClockThatCannotBeRightStopsACompaction(t *testing.T) {
	for name, times := range map[string][]int{
		"the newest is not the youngest": {0, 24, 48, 47},
		"the clock has gone back":        {0, 49, 24, 72},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			d := w.devices[0]
			for i, hours := range times {
				w.cloud.now = time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC)
				w.wrote(d, "n", fmt.Sprint(i))
			}
			objects := len(w.cloud.objects)
			_, err := w.engine(d, new(process), true).Compact(t.Context(), cloudsync.Retention{Age: time.Hour}, cloudsync.By{})
			require.ErrorIs(t, err, cloudsync.ErrGuard)
			require.Len(t, w.cloud.objects, objects)
			_, err = w.engine(d, new(process), true).Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
			require.NoError(t, err, "it forgets nothing")
		})
	}
}

func TestACompactionDeletesNoMoreThanAHeadCanName(t *testing.T) {
	w := newWorld(t, 1)
	d := w.devices[0]
	w.wrote(d, "a", "1")
	const most, litter = 20_000, 21_000
	for i := range litter {
		name := fmt.Sprintf("index/%032x", i)
		w.cloud.objects[name] = cloudsync.Object{Name: name, Size: 1, Time: w.cloud.now}
		w.cloud.content[name] = []byte{1}
	}
	e := w.engine(d, new(process), true)
	planned, err := e.PlanCompact(t.Context(), cloudsync.Retention{})
	require.NoError(t, err)
	require.Equal(t, most, planned.Objects)
	for _, want := range []int{most, litter - most, 0} {
		done, err := e.Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
		require.NoError(t, err)
		require.Equal(t, want, done.Objects)
		for name, object := range w.cloud.objects {
			require.Less(t, object.Size, int64(4<<20), name)
		}
	}
	w.wrote(d, "a", "2")
}

func TestAHeadThatNobodyCouldReadIsNotPut(t *testing.T) {
	w := newWorld(t, 1)
	d := w.devices[0]
	commit := w.wrote(d, "a", "1")
	e := w.engine(d, new(process), false)
	reason := strings.Repeat("r", 5<<20)
	err := e.Tag(t.Context(), "good", commit, cloudsync.By{Reason: reason})
	require.ErrorIs(t, err, cloudsync.ErrInvalid)
	require.ErrorContains(t, err, "at most 4194304 are allowed")
	w.wrote(d, "a", "2")
}
