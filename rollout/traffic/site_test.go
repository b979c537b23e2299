package traffic_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

var web = rollout.ServiceID{Name: "web"}

// patience is how long a test waits for what should be at once.
const patience = 30 * time.Second

// full reports whether long tests run in full.
func full() bool { return os.Getenv("UPKEEP_FULL") == "1" }

// tableOf is a table of revisions a, b and so on with these shares. Each has the
// endpoints of its letter.
func tableOf(generation int64, endpoints map[string][]string, percents ...int) rollout.Table {
	t := rollout.Table{Generation: generation, Endpoints: map[string][]string{}}
	for i, p := range percents {
		run := string(rune('a' + i))
		t.Split.Weights = append(t.Split.Weights, rollout.Weight{Version: "v-" + run, Run: run, Percent: p})
		if endpoints[run] != nil {
			t.Endpoints[run] = endpoints[run]
		}
	}
	return t
}

// front serves a router's service on loopback.
func front(t testing.TB, r *traffic.Router) string {
	t.Helper()
	server := httptest.NewServer(r.Handler(web))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// before returns a router in front of these endpoints of one revision, and its
// address.
func before(t testing.TB, c traffic.Config, endpoints ...string) (*traffic.Router, string) {
	t.Helper()
	r := traffic.New(c)
	require.NoError(t, r.Set(context.Background(), web, tableOf(1, map[string][]string{"a": endpoints}, 100)))
	return r, front(t, r)
}

// serve starts a service on loopback.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// scripted starts a service that answers each request by hand: n counts them
// from 1. A connection ends once answer returns false.
func scripted(t testing.TB, answer func(n int, c net.Conn, r *bufio.Reader) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var n atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					if !answer(int(n.Add(1)), c, r) {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// request makes one. Its context lasts as long as patience.
func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	require.NoError(t, err)
	return r
}

// answer sends a request and reads what comes.
func answer(r *http.Request) (*http.Response, string, error) {
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply, string(body), err
}

// dial opens a connection to the host of a URL, with a deadline.
func dial(t testing.TB, url string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}
