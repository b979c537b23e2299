//go:build unix

package traffic_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// BenchmarkProxy compares the processor time of a request through a Router with
// that through a tuned ReverseProxy, in rounds that take turns. What clients and
// the service use in the same process is measured without a proxy, and taken
// off. Goal: x-tuned at most 1.05, the median of the rounds, and no more
// allocations and bytes.
func BenchmarkProxy(b *testing.B) {
	body := strings.Repeat("x", 256)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	defer service.Close()
	_, ours := before(b, traffic.Config{}, service.URL)
	theirs := httptest.NewServer(tunedProxy(b, service.URL))
	defer theirs.Close()

	client := &http.Transport{MaxIdleConnsPerHost: 64}
	defer client.CloseIdleConnections()
	const requests, clients, rounds = 1008, 16, 21
	measure := func(url string) (cost [3]float64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := used()
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for range requests / clients {
					r, _ := http.NewRequest(http.MethodGet, url, nil)
					reply, err := client.RoundTrip(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, reply.Body)
					_ = reply.Body.Close()
				}
			})
		}
		all.Wait()
		cost[0] = float64(used()-start) / requests
		runtime.ReadMemStats(&after)
		cost[1] = float64(after.Mallocs-before.Mallocs) / requests
		cost[2] = float64(after.TotalAlloc-before.TotalAlloc) / requests
		return cost
	}
	for b.Loop() {
		var ratios, whole, cost, allocs, bytes []float64
		for range rounds {
			direct, tuned, router := measure(service.URL), measure(theirs.URL), measure(ours)
			ratio := func(i int) float64 { return (router[i] - direct[i]) / (tuned[i] - direct[i]) }
			ratios, allocs, bytes = append(ratios, ratio(0)), append(allocs, ratio(1)), append(bytes, ratio(2))
			whole = append(whole, router[0]/tuned[0])
			cost = append(cost, (router[0]-direct[0])/1e3)
		}
		for _, r := range [][]float64{ratios, whole, cost, allocs, bytes} {
			slices.Sort(r)
		}
		b.ReportMetric(ratios[rounds/2], "x-tuned")
		b.ReportMetric(ratios[rounds/4], "x-tuned-q1")
		b.ReportMetric(ratios[3*rounds/4], "x-tuned-q3")
		b.ReportMetric(whole[rounds/2], "x-tuned-whole")
		b.ReportMetric(allocs[rounds/2], "x-tuned-allocs")
		b.ReportMetric(bytes[rounds/2], "x-tuned-bytes")
		b.ReportMetric(cost[rounds/2], "cpu-µs/request")
	}
}

// tunedProxy is what a careful program makes of the standard library.
func tunedProxy(t testing.TB, base string) http.Handler {
	target, err := url.Parse(base)
	require.NoError(t, err)
	transport := &http.Transport{
		MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, ExpectContinueTimeout: time.Second, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.SetXForwarded()
			p.Out.Host = p.In.Host
		},
		Transport: transport, BufferPool: new(bytesPool),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

type bytesPool struct{ sync.Pool }

func (p *bytesPool) Get() []byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *bytesPool) Put(b []byte) { p.Pool.Put(&b) }
