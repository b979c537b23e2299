package traffic_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// TestClientsMaySpeakHTTP2OverTLS has uploads, streams and trailers of many
// requests on one connection.
func TestClientsMaySpeakHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	router := traffic.New(traffic.Config{})
	service := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+" ")
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	})
	table := tableOf(1, map[string][]string{"a": {service}}, 100)
	table.Split.Sticky = &rollout.Sticky{Cookie: "visitor", Issue: true}
	require.NoError(t, router.Set(context.Background(), web, table))
	front := httptest.NewUnstartedServer(router.Handler(web))
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	content := bytes.Repeat([]byte("0123456789"), 30<<10)
	for range 20 {
		r := request(t, http.MethodPost, front.URL, io.NopCloser(bytes.NewReader(content)))
		r.ContentLength, r.Trailer = -1, http.Header{"X-Sum": {"sum"}}
		reply, err := front.Client().Transport.RoundTrip(r)
		require.NoError(t, err)
		body, err := io.ReadAll(reply.Body)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, 2, reply.ProtoMajor)
		require.Equal(t, "https "+string(content), string(body))
		require.Equal(t, "sum", reply.Trailer.Get("X-Sum"))
		require.Len(t, reply.Cookies(), 1)
		require.True(t, reply.Cookies()[0].Secure)
	}
	r := request(t, http.MethodPost, front.URL, nil)
	r.Header.Set("Content-Type", "application/grpc")
	reply, err := front.Client().Transport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Equal(t, http.StatusBadGateway, reply.StatusCode)
}

// TestTheLimitsOfAServerEndNoUpgrade has limits for a request, which an upgrade
// outlives.
func TestTheLimitsOfAServerEndNoUpgrade(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.socket(switched, echo)}}, 100)
		b.url = b.Network.Serve(b, &http.Server{
			Handler: b.router.Handler(web), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
		})
		c, r := b.upgraded()
		for range 3 {
			time.Sleep(time.Minute)
			echoes(b, c, r)
		}
	})
}
