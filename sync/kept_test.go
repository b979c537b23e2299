package sync_test

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// counts syncs a device, and returns what the remote was asked for.
func (w *world) counts(d *device) syncertest.Counts {
	w.Helper()
	var c *syncertest.Counter
	w.planted = func(e *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
		c = syncertest.Counted(e.Remote)
		e.Remote = c
	}
	w.must(d)
	return c.Counts()
}

// TestOfALargeFileThatWasEditedThePartsAreFetchedThatAreNew: all others are in the
// file that it replaces.
func TestOfALargeFileThatWasEditedThePartsAreFetchedThatAreNew(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	begin, middle, end := noise(random, 9<<20), noise(random, 4<<20), noise(random, 7<<20)
	for _, c := range []struct {
		name, was, is string
		least, most   int64 // MiB
	}{
		{"longer", begin + end, begin + "new" + end, 0, 9},
		{"with an insertion", begin + end, begin + middle + end, 4, 12},
		{"shorter", begin + middle + end, begin + end, 0, 9},
		{"begun with something else", middle + begin, end + begin, 7, 16},
		{"grown", begin, begin + end, 7, 12},
		{"the other way round", begin + end, end + begin, 5, 18},
		{"the same part again", middle + end, middle + middle + end, 0, 9},
	} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		a.disk.write("large", c.was)
		w.must(a)
		w.must(b)
		a.disk.now += 8
		a.disk.write("large", c.is)
		w.must(a)
		b.disk.now += 8
		received := w.counts(b).Received
		require.Equal(t, c.is, b.disk.visible()["large"].content, c.name)
		require.Less(t, received, c.most<<20, c.name)
		require.Greater(t, received, c.least<<20, c.name)
	}
}

// meddling is a Remote during whose reads something happens.
type meddling struct {
	cloudsync.Remote
	do func()
}

func (m meddling) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	m.do()
	return m.Remote.Get(ctx, name, off, n)
}

func TestALargeFileThatIsEditedWhileItIsReplacedIsKeptToo(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	begin, end, mine := noise(random, 5<<20), noise(random, 5<<20), noise(random, 6<<20)
	for _, edited := range []string{mine, mine + end, "short", ""} {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		a.disk.write("large", begin+end)
		w.must(a)
		w.must(b)
		a.disk.now += 8
		a.disk.write("large", begin+"new"+end)
		w.must(a)
		b.disk.now += 8
		w.planted = func(e *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
			e.Remote = meddling{e.Remote, sync.OnceFunc(func() { b.disk.write("large", edited) })}
		}
		_, err := w.sync(b, new(process), cloudsync.Request{})
		require.NoError(t, err)
		w.planted = nil
		w.must(b)
		w.must(a)
		var contents []string
		for _, n := range a.disk.visible() {
			contents = append(contents, n.content)
		}
		require.ElementsMatch(t, []string{begin + "new" + end, edited}, contents)
	}
}
