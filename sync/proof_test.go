package sync_test

import (
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// backup is a copy of all that is in a cloud.
func (c *cloud) backup() *cloud {
	was := *c
	was.objects, was.content = maps.Clone(c.objects), maps.Clone(c.content)
	return &was
}

// wentBack is a world of two devices in which the remote went back to a commit
// before the one that the first device knows, and the second has committed the
// same number again.
func wentBack(t *testing.T) (w *world, a, b *device) {
	w = newWorld(t, 2)
	a, b = w.devices[0], w.devices[1]
	a.disk.write("a", "1")
	w.settle()
	was := w.cloud.backup()
	a.disk.write("a", "2")
	w.must(a)
	w.cloud = was
	b.disk.write("b", "precious")
	w.must(b)
	return w, a, b
}

func TestARemoteThatReachedTheSameNumberAgainIsAnotherOne(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		w, a, b := wentBack(t)
		w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
			if c.Parallel = parallel; parallel > 1 {
				c.Remote = far{use{w.cloud, new(process)}, new(sync.Mutex)}
			}
		}
		a.disk.write("c", "3")
		was := w.cloud.backup()
		_, err := w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrForked)
		require.ErrorContains(t, err, "is another one")
		require.Equal(t, was.objects[cloudsync.HeadName(3)], w.cloud.objects[cloudsync.HeadName(3)], "nothing is committed")

		w.cloud.hidden = 1
		_, err = w.sync(a, new(process), cloudsync.Request{})
		require.ErrorIs(t, err, cloudsync.ErrForked, "the list is behind")

		_, err = w.sync(a, new(process), cloudsync.Request{Fresh: true})
		require.NoError(t, err)
		w.must(b)
		w.must(a)
		w.equal()
		require.Contains(t, b.disk.String(), "b=precious c=3")
	}
}

func TestNothingIsRecordedOnAHeadOfAnotherHistory(t *testing.T) {
	for name, act := range map[string]func(e *cloudsync.Engine, commit string) error{
		"a tag": func(e *cloudsync.Engine, commit string) error {
			return e.Tag(t.Context(), "good", commit, cloudsync.By{})
		},
		"a compaction": func(e *cloudsync.Engine, _ string) error {
			_, err := e.Compact(t.Context(), cloudsync.Retention{Age: 1}, cloudsync.By{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, _ := wentBack(t)
			status, err := w.sync(a, new(process), cloudsync.Request{})
			require.NoError(t, err, "who changes nothing asks for no more than a list")
			was := w.cloud.backup()
			require.ErrorIs(t, act(w.engine(a, new(process), true), status.Commit), cloudsync.ErrForked)
			require.Equal(t, was.objects, w.cloud.objects)
		})
	}
}
