package traffic_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

func TestProtocolsThatAreNotSupportedAreRefusedWithAReason(t *testing.T) {
	const grpc, h2c = "gRPC is not supported\n", "HTTP/2 without TLS is not supported\n"
	content := func(c string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.Header = http.MethodPost, http.Header{"Content-Type": {c}, "Te": {"trailers"}}
		}
	}
	inBubble(t, traffic.Config{}, func(b *bubble) {
		asked := 0
		b.set(1, map[string][]string{"a": {b.serve(func(http.ResponseWriter, *http.Request) { asked++ })}}, 100)
		for _, tt := range []struct {
			want   string
			change func(*http.Request)
		}{
			{grpc, content("application/grpc")},
			{grpc, content("application/grpc+proto")},
			{grpc, content("Application/gRPC; charset=utf-8")},
			{h2c, func(r *http.Request) {
				r.Header = http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}}
			}},
		} {
			status, body := b.ask(tt.change)
			require.Equal(b, http.StatusBadGateway, status)
			require.Equal(b, tt.want, body)
		}
		for want, text := range map[string]string{
			h2c:                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", // prior knowledge
			"CONNECT is not supported\n": "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
		} {
			_, r := b.dial(text)
			reply, err := http.ReadResponse(r, nil)
			require.NoError(b, err)
			require.Equal(b, http.StatusBadGateway, reply.StatusCode)
			body, err := io.ReadAll(reply.Body)
			require.NoError(b, err)
			require.Equal(b, want, string(body))
		}
		require.Zero(b, asked)
		require.Equal(b, rollout.Counts{}, b.counts())
	})
}

// TestGRPCWebIsStreamed has a service that sends a message at a time, each once
// the client has read the one before.
func TestGRPCWebIsStreamed(t *testing.T) {
	for _, content := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"} {
		t.Run(content, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				next := make(chan struct{})
				b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
					for _, message := range []string{string(body), "second\n", "grpc-status: 0\n"} {
						_, _ = io.WriteString(w, message)
						_ = http.NewResponseController(w).Flush()
						<-next
					}
				})}}, 100)
				r := b.request()
				r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader("first\n")), 6
				r.Header.Set("Content-Type", content)
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				reply, err := b.client.RoundTrip(r.WithContext(ctx))
				require.NoError(b, err)
				require.Equal(b, http.StatusOK, reply.StatusCode)
				require.Equal(b, content, reply.Header.Get("Content-Type"))
				read := bufio.NewReader(reply.Body)
				for _, want := range []string{"first\n", "second\n", "grpc-status: 0\n"} {
					line, err := read.ReadString('\n')
					require.NoError(b, err)
					require.Equal(b, want, line)
					synctest.Wait()
					next <- struct{}{}
				}
				_, err = read.ReadByte()
				require.ErrorIs(b, err, io.EOF)
				require.NoError(b, reply.Body.Close())
			})
		})
	}
}
