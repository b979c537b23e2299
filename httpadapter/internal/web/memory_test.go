package web_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// meter is a reply that nobody keeps. At some of its writes it measures what is
// in memory.
type meter struct {
	header http.Header
	writes int
	most   *atomic.Uint64
}

func (m *meter) Header() http.Header { return m.header }
func (m *meter) WriteHeader(int)     {}

func (m *meter) Write(text []byte) (int, error) {
	if m.writes++; m.writes%150 == 0 || m.writes == 1 {
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		for {
			most := m.most.Load()
			if now.HeapAlloc <= most || m.most.CompareAndSwap(most, now.HeapAlloc) {
				break
			}
		}
	}
	return len(text), nil
}

func TestReadersOfLongListsAreNoMatterOfMemory(t *testing.T) {
	const readers = 8
	for name, route := range map[string]web.Route{
		"many rows":     list(items(100_000, 200, nil)),
		"long versions": list(items(40, 900<<10, nil)),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, web.Config{}, route)
			var before runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var most atomic.Uint64
			var all sync.WaitGroup
			for range readers {
				all.Go(func() {
					s.ServeHTTP(&meter{header: http.Header{}, most: &most}, httptest.NewRequest("GET", "/things", nil))
				})
			}
			all.Wait()
			require.NotZero(t, most.Load())
			require.Less(t, int64(most.Load())-int64(before.HeapAlloc), int64(readers*10<<20), "which is a fraction of one that is made as a whole")
		})
	}
}
