package traffic_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// bubble is a network in memory with a router on it, where time is fake.
type bubble struct {
	*testing.T
	wiretest.Network
	router *traffic.Router
	client *http.Transport
	url    string // of the router
}

// inBubble runs a test in a bubble. What is still running when it has ended and
// everything is closed fails it.
func inBubble(t *testing.T, c traffic.Config, test func(*bubble)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{T: t}
		if c.Transport == nil {
			c.Transport = b.Transport(t)
		}
		b.client = b.Transport(t)
		b.router = traffic.New(c)
		b.url = b.Network.Serve(t, &http.Server{Handler: b.router.Handler(web)})
		test(b)
		b.client.CloseIdleConnections()
		b.set(1<<40, nil)       // which closes what is kept
		time.Sleep(time.Second) // in which a server lets clients read a last reply
	})
}

// serve starts a service.
func (b *bubble) serve(h http.HandlerFunc) string {
	return b.Network.Serve(b, &http.Server{Handler: h})
}

// named starts a service that answers with its name.
func (b *bubble) named(name string) string {
	return b.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

// set sets a table of tableOf.
func (b *bubble) set(generation int64, endpoints map[string][]string, percents ...int) {
	b.Helper()
	require.NoError(b, b.router.Set(context.Background(), web, tableOf(generation, endpoints, percents...)))
}

// ask sends a request and returns the status of its reply and its body.
func (b *bubble) ask(change ...func(*http.Request)) (int, string) {
	b.Helper()
	r, err := http.NewRequest(http.MethodGet, b.url, nil)
	require.NoError(b, err)
	for _, c := range change {
		c(r)
	}
	reply, err := b.client.RoundTrip(r)
	require.NoError(b, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(b, err)
	return reply.StatusCode, string(body)
}

func TestNoPostIsLostToAConnectionThatTheServiceHasClosed(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		got := 0
		service := b.Network.Serve(b, &http.Server{IdleTimeout: 50 * time.Millisecond, Handler: http.HandlerFunc(
			func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				got++
			})})
		b.set(1, map[string][]string{"a": {service}}, 100)
		for range 100 {
			status, _ := b.ask(func(r *http.Request) { r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("x")) })
			require.Equal(b, http.StatusOK, status)
			time.Sleep(150 * time.Millisecond)
			synctest.Wait()
		}
		require.Equal(b, 100, got)
	})
}
