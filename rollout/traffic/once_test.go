package traffic_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// TestWhatCannotBeSentTwiceComesThrough has a service that closes a connection
// just when its second request comes.
func TestWhatCannotBeSentTwiceComesThrough(t *testing.T) {
	for _, tt := range []struct {
		method, body string
	}{{http.MethodPost, ""}, {http.MethodPost, "x"}, {http.MethodPut, "x"}, {http.MethodDelete, ""}, {http.MethodGet, "x"}, {http.MethodGet, ""}} {
		t.Run(tt.method+" "+tt.body, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				type requests struct{}
				var got atomic.Int64
				service := b.Network.Serve(b, &http.Server{
					ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
						return context.WithValue(ctx, requests{}, new(atomic.Int64))
					},
					Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						if r.Context().Value(requests{}).(*atomic.Int64).Add(1) > 1 {
							panic(http.ErrAbortHandler)
						}
						_, _ = io.Copy(io.Discard, r.Body)
						got.Add(1)
					}),
				})
				b.set(1, map[string][]string{"a": {service}}, 100)
				for range 20 {
					status, _ := b.ask(func(r *http.Request) {
						if r.Method = tt.method; tt.body != "" {
							r.Body = io.NopCloser(strings.NewReader(tt.body))
						}
					})
					require.Equal(b, http.StatusOK, status)
				}
				require.EqualValues(b, 20, got.Load())
			})
		})
	}
}
