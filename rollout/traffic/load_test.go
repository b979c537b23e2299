package traffic_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// TestNoRequestIsLostWhileTablesChange has 500 requests a second, each third of
// them with a body, while two revisions take turns, each with endpoints that
// come and go and are ended once they have drained. One service has connections
// that end after 50 milliseconds.
func TestNoRequestIsLostWhileTablesChange(t *testing.T) {
	sets := 100
	if full() {
		sets = 2000
	}
	inBubble(t, traffic.Config{}, func(b *bubble) {
		var got, sent, lost atomic.Int64
		// start starts a service, which stop ends at once.
		start := func() (url string, stop func()) {
			server := &http.Server{IdleTimeout: 50 * time.Millisecond, Handler: http.HandlerFunc(
				func(_ http.ResponseWriter, r *http.Request) {
					time.Sleep(3 * time.Millisecond)
					if n, err := io.Copy(io.Discard, r.Body); err == nil && n == max(0, r.ContentLength) {
						got.Add(1)
					}
				})}
			return b.Network.Serve(b, server), func() { require.NoError(b, server.Close()) }
		}
		url, stop := start()
		b.set(0, map[string][]string{"a": {url}}, 100)
		done := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				all.Go(func() {
					status, _ := b.ask(func(r *http.Request) {
						if i%3 == 0 {
							r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(io.LimitReader(zeros{}, 1<<10)), 1<<10
						}
					})
					sent.Add(1)
					if status != http.StatusOK {
						lost.Add(1)
					}
				})
			}
		})
		for i := range sets {
			next, stopNext := start()
			run := string(rune('a' + (i+1)%2))
			other := string(rune('a' + i%2))
			if i%2 == 0 {
				b.set(int64(2*i+1), map[string][]string{other: {url}, run: {next}}, 50, 50)
				time.Sleep(10 * time.Millisecond)
			}
			percents := []int{0, 0}
			percents[(i+1)%2] = 100
			b.set(int64(2*i+2), map[string][]string{run: {next}}, percents...)
			require.NoError(b, b.router.Drain(context.Background(), web, url))
			stop()
			url, stop = next, stopNext
			time.Sleep(7 * time.Millisecond)
		}
		close(done)
		all.Wait()
		require.Zero(b, lost.Load())
		require.Equal(b, sent.Load(), got.Load())
		require.Greater(b, sent.Load(), int64(3*sets))
		s, err := b.router.Stats(context.Background(), web)
		require.NoError(b, err)
		counted := s.Revisions["a"].Requests + s.Revisions["b"].Requests
		require.Equal(b, sent.Load(), counted)
		require.Zero(b, s.Revisions["a"].Errors+s.Revisions["b"].Errors)
	})
}

// zeros is a body that does not end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
