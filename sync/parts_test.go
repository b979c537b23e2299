package sync_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// named are the objects of a folder.
func (c *cloud) named(folder string) (all []cloudsync.Object) {
	for name, object := range c.objects {
		if strings.HasPrefix(name, folder) {
			all = append(all, object)
		}
	}
	return all
}

func TestALargeIndexIsManySmallOnes(t *testing.T) {
	const most = 2000 // bytes
	w := newWorld(t, 2)
	w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Part = most }
	bounded := func(most int) {
		t.Helper()
		for _, object := range w.cloud.named("index/") {
			require.LessOrEqual(t, object.Size, int64(most+8+5), object.Name)
		}
	}
	a, b := w.devices[0], w.devices[1]
	for i := range 100 {
		a.disk.write(fmt.Sprintf("%d/%d", i%3, i), fmt.Sprint(i))
		w.must(a)
	}
	bounded(most)
	require.Less(t, len(w.cloud.named("index/")), 100+50)
	w.settle()
	w.equal()

	e := w.engine(a, new(process), true)
	for _, keep := range []cloudsync.Retention{{}, {Age: time.Second}} {
		done, err := e.Compact(t.Context(), keep, cloudsync.By{})
		require.NoError(t, err)
		require.NotEmpty(t, done.Commit)
		bounded(6000) // a pack alone has more
		done, err = e.Compact(t.Context(), keep, cloudsync.By{})
		require.NoError(t, err)
		require.LessOrEqual(t, done.Objects, 2, "it is as small as can be")
	}
	done, err := e.Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
	require.NoError(t, err)
	require.Empty(t, done.Commit, "there is nothing to be done")

	w.cloud.lose(w.cloud.first("packs/", ""))
	_, err = e.Repair(t.Context(), cloudsync.By{})
	require.NoError(t, err)
	bounded(6000)
	b.disk.write("new", "1")
	w.settle()
	w.equal()
}
