package traffic_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// TestWhoHasTriedAllThatIsLeftWaitsNoMore has a request wait for the one endpoint
// that it has not tried, as that is busy, until a table comes.
func TestWhoHasTriedAllThatIsLeftWaitsNoMore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		left   func(b *bubble, slow string) []string // in the next table
		status int
		after  time.Duration
	}{
		{"what is left was tried", func(*bubble, string) []string { return []string{gone} }, http.StatusBadGateway, time.Second},
		{"the busy one is left", func(_ *bubble, slow string) []string { return []string{gone, slow} }, http.StatusOK, 10 * time.Second},
		{"another is left", func(b *bubble, _ string) []string { return []string{gone, b.named("new")} }, http.StatusOK, time.Second},
		{"none is left", func(*bubble, string) []string { return nil }, http.StatusServiceUnavailable, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failed := make(chan traffic.Served, 2)
			config := traffic.Config{MaxConcurrent: 1, Observe: func(s traffic.Served) {
				if s.Err != nil {
					failed <- s
				}
			}}
			inBubble(t, config, func(b *bubble) {
				slow := b.serve(func(_ http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slow" {
						time.Sleep(10 * time.Second)
					}
				})
				b.set(1, map[string][]string{"a": {slow}}, 100)
				first := make(chan int, 1)
				go func() {
					status, _ := b.ask(func(r *http.Request) { r.URL.Path = "/slow" })
					first <- status
				}()
				synctest.Wait()
				b.set(2, map[string][]string{"a": {slow, gone}}, 100)
				begun := time.Now()
				wait := b.statuses(1)
				synctest.Wait()
				require.Equal(b, 1, b.waiting())
				time.Sleep(time.Second)
				b.set(3, map[string][]string{"a": tt.left(b, slow)}, 100)
				require.Equal(b, map[int]int{tt.status: 1}, wait())
				require.Equal(b, tt.after, time.Since(begun))
				require.Zero(b, b.waiting())
				require.Equal(b, http.StatusOK, <-first)
				got := b.counts()
				if tt.status != http.StatusBadGateway {
					require.Zero(b, got.Errors)
					return
				}
				require.Equal(b, rollout.Counts{Requests: 2, Errors: 1}, got)
				require.Len(b, failed, 1)
				s := <-failed
				require.Equal(b, gone, s.Endpoint)
				require.ErrorContains(b, s.Err, "no connection", "the reason is that of the last endpoint")
			})
		})
	}
}
