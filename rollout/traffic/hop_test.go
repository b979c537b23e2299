package traffic_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// through starts a service and a router in front of it.
func through(t *testing.T, h http.HandlerFunc) string {
	_, url := before(t, traffic.Config{}, serve(t, h))
	return url
}

func TestHeadersOfOneHopEndThere(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	url := through(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "of the service")
	})
	r := request(t, http.MethodGet, url, nil)
	r.Host = "shop.example"
	r.Header = http.Header{
		"Connection": {"X-One, X-Two"}, "X-One": {"1"}, "X-Two": {"2"}, "Keep-Alive": {"timeout=5"}, "Te": {"trailers"},
		"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"for=6.6.6.6"},
	}
	reply, _, err := answer(r)
	require.NoError(t, err)
	require.Empty(t, reply.Header.Get("X-Hop"))
	got := <-seen
	for _, name := range []string{"X-One", "X-Two", "Keep-Alive", "Forwarded"} {
		require.NotContains(t, got, name)
	}
	require.Equal(t, []string{"trailers"}, got["Te"])
	require.Equal(t, []string{"127.0.0.1"}, got["X-Forwarded-For"])
	require.Equal(t, []string{"http"}, got["X-Forwarded-Proto"])
	require.Equal(t, []string{"shop.example"}, got["X-Forwarded-Host"])
}

func TestTrailersOfAReplyArrive(t *testing.T) {
	t.Parallel()
	url := through(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
	})
	for range 2 { // what follows on the same connection too
		reply, body, err := answer(request(t, http.MethodPost, url, strings.NewReader("x")))
		require.NoError(t, err)
		require.Equal(t, "body", body)
		require.Equal(t, "1", reply.Trailer.Get("X-Announced"))
		require.Equal(t, "2", reply.Trailer.Get("X-Unannounced"))
	}
}

func TestTrailersOfARequestArrive(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	url := through(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	})
	r := request(t, http.MethodPost, url, io.NopCloser(strings.NewReader("body")))
	r.ContentLength = -1
	r.Trailer = http.Header{"X-Sum": {"v"}}
	_, _, err := answer(r)
	require.NoError(t, err)
	require.Equal(t, "v", (<-seen).Get("X-Sum"))

	c := dial(t, url) // unannounced
	_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: w\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, "w", (<-seen).Get("X-Sum"))
}

func TestEarlyHintsArrive(t *testing.T) {
	t.Parallel()
	url := through(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
	})
	var hints []string
	r := request(t, http.MethodGet, url, nil)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { hints = append(hints, h.Get("Link")); return nil },
	}))
	_, _, err := answer(r)
	require.NoError(t, err)
	require.Equal(t, []string{"</style.css>"}, hints)
}

func TestAnEventStreamBeginsBeforeItsFirstEvent(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	url := through(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-end
	})
	reply, err := http.DefaultTransport.RoundTrip(request(t, http.MethodGet, url, nil))
	close(end)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
}

func TestTheServiceLearnsThatTheClientHasLeft(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan struct{})
	url := through(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	})
	r := request(t, http.MethodGet, url, nil)
	ctx, cancel := context.WithCancel(r.Context())
	go func() { <-asked; cancel() }()
	_, _, err := answer(r.WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-gone:
	case <-time.After(patience):
		require.Fail(t, "it does not")
	}
}

func TestARefusedExpectationIsPassedOnBeforeTheBody(t *testing.T) {
	t.Parallel()
	url := through(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	c := dial(t, url)
	_, err := io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	reply, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, reply.StatusCode)
}

func TestAnEarlyReplyToALargeUploadArrives(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		refuses := b.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
		b.set(1, map[string][]string{"a": {refuses}}, 100)
		for range 5 {
			c, r := b.dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n")
			go func() { _, _ = c.Write(make([]byte, 1<<20)) }() // until it is closed
			reply, err := http.ReadResponse(r, nil)
			require.NoError(b, err)
			require.Equal(b, http.StatusRequestEntityTooLarge, reply.StatusCode)
			require.NoError(b, c.Close())
		}
	})
}

// slowWriter is a connection whose writes take a second after they have arrived.
type slowWriter struct{ net.Conn }

func (s slowWriter) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	time.Sleep(time.Second)
	return n, err
}

func TestAReplyThatBeginsWhileTheEndOfTheBodyIsSentIsWhole(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		transport := b.Transport(b)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
			c, err := dial(ctx, network, to)
			return slowWriter{c}, err
		}
		b.router = traffic.New(traffic.Config{Transport: transport})
		b.url = b.Network.Serve(b, &http.Server{Handler: b.router.Handler(web)})
		b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for _, word := range []string{"begun ", "ended"} {
				_, _ = io.WriteString(w, word)
				_ = http.NewResponseController(w).Flush()
				time.Sleep(2 * time.Second)
			}
		})}}, 100)
		status, body := b.ask(func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader("body")), 4
		})
		require.Equal(b, http.StatusOK, status)
		require.Equal(b, "begun ended", body)
	})
}

func TestALargeBodyGoesBothWaysAtOnce(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		duplex := func(h http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				h.ServeHTTP(w, r)
			}
		}
		b.set(1, map[string][]string{"a": {b.serve(duplex(http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })))}}, 100)
		b.url = b.serve(duplex(b.router.Handler(web)))
		status, body := b.ask(func(r *http.Request) {
			r.Method, r.Body = http.MethodPost, io.NopCloser(bytes.NewReader(make([]byte, 4<<20)))
		})
		require.Equal(b, http.StatusOK, status)
		require.Len(b, body, 4<<20)
	})
}

func TestBytesAfterAReplyReachNobody(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	_, url := before(t, traffic.Config{}, scripted(t, func(n int, c net.Conn, _ *bufio.Reader) bool {
		reply := ok
		if n == 1 {
			reply += "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
		}
		_, _ = io.WriteString(c, reply)
		return true
	}))
	for range 3 {
		_, body, err := answer(request(t, http.MethodGet, url, nil))
		require.NoError(t, err)
		require.Equal(t, "ok", body)
	}
}

func TestThePathAndTheQueryArriveAsTheyCame(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	url := through(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI })
	for _, uri := range []string{"/a%2Fb//c?x=1;y=2&z=%zz&ok=1", "/", "//twice", "/?", "/%7Euser/.."} {
		c := dial(t, url)
		_, err := io.WriteString(c, "GET "+uri+" HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, uri, <-seen)
	}
}

func TestAReplyThatIsNotHTTPIsNotPassedOn(t *testing.T) {
	t.Parallel()
	const status, length, chunked = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"
	const end, body, chunks = "\r\n", "ok", "2\r\nok\r\n0\r\n\r\n"
	for _, tt := range []struct{ name, reply, want string }{
		{"two lengths", status + length + "Content-Length: 4\r\n" + end + "okok", "502"},
		{"a length and chunks", status + length + chunked + end + chunks, "200 ok"},
		{"a length that is no number", status + "Content-Length: 2x\r\n" + end + body, "502"},
		{"a negative length", status + "Content-Length: -2\r\n" + end + body, "502"},
		{"a length with a sign", status + "Content-Length: +2\r\n" + end + body, "502"},
		{"chunked twice", status + chunked + chunked + end + chunks, "502"},
		{"a coding that was not asked for", status + "Transfer-Encoding: gzip, chunked\r\n" + end + chunks, "502"},
		{"a long header", status + "X-Long: " + strings.Repeat("a", 12<<10) + "\r\n" + length + end + body, "200 ok"},
		{"a folded header", status + "X-Folded: a\r\n b\r\n" + length + end + body, "200 ok"},
		{"a space before the colon", status + "X-Space : a\r\n" + length + end + body, "502"},
		{"a status that is no number", "HTTP/1.1 abc OK\r\n" + length + end + body, "502"},
		{"a status below 100", "HTTP/1.1 099 OK\r\n" + length + end + body, "502"},
		{"a status above 599", "HTTP/1.1 999 OK\r\n" + length + end + body, "999 ok"},
		{"an upgrade that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n" + end, "502"},
		{"less than its length", status + "Content-Length: 9\r\n" + end + body, "cut"},
		{"less than a chunk", status + chunked + end + "9\r\nok", "cut"},
		{"nothing", "", "502"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n" + end + body, "200 ok"},
		{"close among others", status + "Connection: foo, close\r\n" + length + end + body, "200 ok"},
		{"a length without a body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n" + end, "304 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, url := before(t, traffic.Config{}, scripted(t, func(_ int, c net.Conn, _ *bufio.Reader) bool {
				_, _ = io.WriteString(c, tt.reply)
				return false
			}))
			reply, body, err := answer(request(t, http.MethodGet, url, nil))
			got := "cut"
			switch {
			case err == nil && reply.StatusCode == http.StatusBadGateway:
				got = "502"
			case err == nil:
				got = strconv.Itoa(reply.StatusCode) + " " + body
			default:
				require.False(t, errors.Is(err, context.DeadlineExceeded))
			}
			require.Equal(t, tt.want, got)
		})
	}
}
