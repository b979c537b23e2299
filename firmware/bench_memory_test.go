//go:build unix

package firmware_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// heap notes the largest heap that it has seen: what is in use, and what is kept
// for it.
type heap struct {
	firmware.Verifier
	unpacker firmware.Unpacker
	peak     atomic.Uint64
}

func inUse() uint64 {
	all := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(all)
	return all[0].Value.Uint64() + all[1].Value.Uint64()
}

func (h *heap) look() {
	now := inUse()
	for last := h.peak.Load(); now > last && !h.peak.CompareAndSwap(last, now); last = h.peak.Load() {
	}
}

func (h *heap) Unpacker() firmware.Unpacker {
	h.unpacker = h.Verifier.Unpacker()
	return h
}

// Unpack looks when the most is in use.
func (h *heap) Unpack(way firmware.Way, sent, window, raw []byte) error {
	defer h.look()
	return h.unpacker.Unpack(way, sent, window, raw)
}

// during looks while f runs.
func (h *heap) during(f func()) {
	end := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				h.look()
			}
		}
	})
	f()
	close(end)
	looking.Wait()
}

// BenchmarkPatchMemory measures by how much the heap grows of a device that takes a patch
// release, against three times a segment of 1 MiB and its window of 4 MiB, and of
// one whose image is four times as large. The feed is another process.
func BenchmarkPatchMemory(b *testing.B) {
	size := benchmarkSize() / 4
	for b.Loop() {
		once, four := patchPeak(b, size), patchPeak(b, 4*size)
		b.ReportMetric(float64(once)/(1<<20), "MiB-peak")
		b.ReportMetric(float64(max(once, four))/(3*5<<20), "of-bound")
		b.ReportMetric(float64(four)/float64(once), "x-4-times")
	}
}

func patchPeak(b *testing.B, size int) uint64 {
	b.Helper()
	dir := b.TempDir()
	s := func() served {
		old := noise(1, size) // which is packed fastest
		require.NoError(b, os.WriteFile(filepath.Join(dir, "a"), old, 0o600))
		return published(b, old, patchRelease(old))
	}()
	h := &heap{Verifier: s.verifier}
	runtime.GC() // what has made the feed
	runtime.GC()
	before := inUse() // of this program and its tests
	h.during(func() {
		s.update(b, dir, func(c *firmware.Config) { c.Verifier = h })
	})
	return h.peak.Load() - before
}

// patchRelease is a later version: 4 KiB were inserted at a third, and some
// bytes of one in a hundred lines have changed.
func patchRelease(old []byte) []byte {
	third := len(old) / 3 / 64 * 64
	image := slices.Concat(old[:third], lines(2, 64), old[third:])
	for i := 0; i+64 <= len(image); i += 6400 {
		image[i+8]++
	}
	return image
}

// BenchmarkStatus measures the 99th percentile of Status while a run pulls from a
// feed that does not end, against that of an idle device.
func BenchmarkStatus(b *testing.B) {
	d := &device{shop: newShop(), sim: slot.NewSimulator("1.2.0", noise(1, 3*segment+5)), db: memory.New()}
	d.shop.add("1.3.0", noise(2, 64<<20))
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Store: d.db, Slots: d.sim, Reboot: d.sim.Reboot, Feed: d.shop, Verifier: d.shop,
		Rate: func() int64 { return 4 << 20 }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	defer fw.Close()
	p99 := func(state firmware.DeviceState) time.Duration {
		var all []time.Duration
		for range 5000 {
			began := time.Now()
			st, err := fw.Status(b.Context())
			all = append(all, time.Since(began))
			require.NoError(b, err)
			require.Equal(b, state, st.State)
		}
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	for b.Loop() {
		_, err = fw.Check(b.Context())
		require.NoError(b, err)
		idle := p99(firmware.DeviceIdle)
		run, err := fw.Start(b.Context(), firmware.Request{})
		require.NoError(b, err)
		for e, err := range fw.Follow(b.Context(), run.ID) {
			require.NoError(b, err)
			if e.Kind == firmware.EventProgress {
				break
			}
		}
		b.ReportMetric(float64(p99(firmware.DevicePulling))/float64(idle), "p99-x-idle")
		require.NoError(b, fw.Cancel(b.Context(), run.ID, ann))
		_, err = fw.Wait(b.Context(), run.ID)
		require.ErrorIs(b, err, firmware.ErrCancelled)
	}
}

// BenchmarkCheck measures what a check costs that finds nothing new: requests,
// and bytes both ways, headers included, by a server that knows If-None-Match.
func BenchmarkCheck(b *testing.B) {
	s := published(b, lines(1, 1<<10))
	var requests, bytes atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("ETag", `"1"`)
		http.ServeFile(w, r, filepath.Join(s.dir, filepath.Base(r.URL.Path)))
	}))
	server.Listener = countingListener{server.Listener, &bytes}
	server.Start()
	defer server.Close()
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Store: memory.New(), Slots: slot.NewSimulator("1.0.0", lines(1, 1<<10)),
		Feed: &feed.HTTP{URL: server.URL}, Verifier: s.verifier, Reboot: func(context.Context) error { return nil },
	})
	require.NoError(b, err)
	defer fw.Close()
	_, err = fw.Check(b.Context())
	require.NoError(b, err)
	requests.Store(0)
	bytes.Store(0)
	n := 0
	for b.Loop() {
		_, err = fw.Check(b.Context())
		require.NoError(b, err)
		n++
	}
	b.ReportMetric(float64(requests.Load())/float64(n), "requests/check")
	b.ReportMetric(float64(bytes.Load())/float64(n), "bytes/check")
}

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.n}, err
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}
