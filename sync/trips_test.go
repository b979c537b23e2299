package sync_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// far is a cloud to which each call takes a while, and that several calls use at a
// time.
type far struct {
	use
	mu *sync.Mutex
}

const trip = 50 * time.Millisecond

func (f far) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	time.Sleep(trip)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.use.PutIfAbsent(ctx, name, body)
}

func (f far) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	time.Sleep(trip)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.use.Get(ctx, name, off, n)
}

func (f far) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		time.Sleep(trip)
		for o, err := range f.use.List(ctx, prefix, after) {
			if !yield(o, err) {
				return
			}
		}
	}
}

// trips syncs a device, and returns how many calls of the remote followed one on
// the other.
func (w *world) trips(d *device) int {
	w.Helper()
	var c *syncertest.Counter
	w.planted = func(e *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
		c = syncertest.Counted(far{use{w.cloud, new(process)}, new(sync.Mutex)})
		e.Remote, e.Parallel = c, 0
	}
	begun := time.Now()
	d.disk.now += 8
	_, err := w.sync(d, new(process), cloudsync.Request{})
	require.NoError(w, err)
	n := c.Counts()
	require.Equal(w, time.Duration(n.Trips)*trip, time.Since(begun), "no other waiting")
	if n.Received > 10<<20 {
		sent := int64(0)
		for name, object := range w.cloud.objects {
			if strings.HasPrefix(name, "packs/") {
				sent += object.Size
			}
		}
		require.Less(w, n.Received, sent+sent/50, "nothing is read twice, but for folders")
	}
	return n.Trips
}

func noise(random *rand.ChaCha8, n int) string {
	b := make([]byte, n)
	_, _ = random.Read(b)
	return string(b)
}

func TestADistantRemoteIsWaitedForSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, random := newWorld(t, 2), rand.NewChaCha8([32]byte{1})
		a, b := w.devices[0], w.devices[1]
		for i := range 1000 {
			a.disk.write(fmt.Sprintf("%d/%d", i%20, i), noise(random, 100))
		}
		for i := range 5 {
			a.disk.write(fmt.Sprint("large", i), noise(random, 13<<20))
		}
		require.LessOrEqual(t, w.trips(a), 7, "a list, six packs at four a trip, folders, index, head and a list")
		require.Equal(t, 1, w.trips(a), "nothing has changed")

		require.LessOrEqual(t, w.trips(b), 6+4, "six, and those for 65 MiB")

		for i := range 10 {
			a.disk.write(fmt.Sprintf("%d/%d", i%20, i), noise(random, 100))
		}
		require.LessOrEqual(t, w.trips(a), 5)
		require.LessOrEqual(t, w.trips(b), 6)

		for range 20 { // each has an index
			a.disk.write("note", noise(random, 100))
			w.trips(a)
		}
		fresh := newWorld(t, 1)
		fresh.cloud = w.cloud
		require.LessOrEqual(t, fresh.trips(fresh.devices[0]), 6+5)
	})
}
