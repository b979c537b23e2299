package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// TestNoRequestIsSmuggled has requests whose length two readers may understand
// in two ways: they are refused, or the service sees one request with one length.
func TestNoRequestIsSmuggled(t *testing.T) {
	const post, smuggled = "POST / HTTP/1.1\r\nHost: a\r\n", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, text := range map[string]string{
		"a length and chunks":        post + "Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and a length":        post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
		"two lengths":                post + "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
		"a list of lengths":          post + "Content-Length: 0, 40\r\n\r\n",
		"a length with a sign":       post + "Content-Length: +0\r\n\r\n",
		"a length in hex":            post + "Content-Length: 0x0\r\n\r\n",
		"a length with a space":      post + "Content-Length : 0\r\n\r\n",
		"chunks by another name":     post + "Transfer-Encoding: xchunked\r\n\r\n",
		"chunks in a list":           post + "Transfer-Encoding: chunked, identity\r\n\r\n",
		"chunks twice":               post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks after a tab":         post + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
		"chunks by a folded line":    post + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n",
		"chunks in a list of a hop":  post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a length of a hop":          post + "Connection: Content-Length\r\nContent-Length: 4\r\n\r\nbody",
		"a chunk with a sign":        post + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
		"a chunk that is too long":   post + "Transfer-Encoding: chunked\r\n\r\n00000000000000000\r\n\r\n",
		"a chunk with an extension":  post + "Transfer-Encoding: chunked\r\n\r\n0;a=\"\n\"\r\n\r\n",
		"a body of HTTP/1.0":         "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a line feed in a value":     post + "X: a\nContent-Length: 0\r\n\r\n",
		"a carriage return in value": post + "X: a\rContent-Length: 0\r\n\r\n",
		"no host":                    "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
		"two hosts":                  "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"a body of a GET":            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				var bad []string
				b.set(1, map[string][]string{"a": {b.serve(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if r.ContentLength > 0 && len(r.TransferEncoding) > 0 || len(r.Header["Content-Length"]) > 1 {
						bad = append(bad, fmt.Sprint(r.URL, r.Header))
					}
					if r.RequestURI == "/smuggled" && len(r.Header["X-Forwarded-For"]) != 1 {
						bad = append(bad, "smuggled")
					}
				})}}, 100)
				c, r := b.dial(text)
				_, _ = io.WriteString(c, smuggled)
				require.NoError(b, c.(interface{ CloseWrite() error }).CloseWrite())
				replies := 0
				for reply, err := http.ReadResponse(r, nil); err == nil; reply, err = http.ReadResponse(r, nil) {
					_, _ = io.Copy(io.Discard, reply.Body)
					replies++
				}
				require.Positive(b, replies)
				require.LessOrEqual(b, replies, 2)
				require.Empty(b, bad)
			})
		})
	}
}

func TestAReplyWithoutABodyHasNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, method, reply, length, body string }{
		{"the length of what HEAD would get", http.MethodHead, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "7", ""},
		{"a body after HEAD", http.MethodHead, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "4", ""},
		{"chunks after HEAD", http.MethodHead, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", ""},
		{"a body after 204", http.MethodGet, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "", ""},
		{"a body after 304", http.MethodGet, "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, url := before(t, traffic.Config{}, scripted(t, func(n int, c net.Conn, _ *bufio.Reader) bool {
				if n > 1 {
					tt.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
				}
				_, _ = io.WriteString(c, tt.reply)
				return true
			}))
			reply, body, err := answer(request(t, tt.method, url, nil))
			require.NoError(t, err)
			require.Equal(t, tt.body, body)
			if tt.length != "" {
				require.Equal(t, tt.length, reply.Header.Get("Content-Length"))
			}
			_, body, err = answer(request(t, http.MethodGet, url, nil))
			require.NoError(t, err)
			require.Equal(t, "ok", body)
		})
	}
}

func TestAReplyWithoutALengthEndsForAnOldClient(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, "word ")
				_ = http.NewResponseController(w).Flush()
			}
		})}}, 100)
		_, r := b.dial("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
		reply, err := http.ReadResponse(r, nil)
		require.NoError(b, err)
		require.Empty(b, reply.TransferEncoding)
		body, err := io.ReadAll(reply.Body)
		require.NoError(b, err)
		require.Equal(b, "word word word ", string(body))
	})
}

func TestAHeaderOfMegabytesIsNotPassedOn(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{64 << 10: http.StatusOK, 3 << 20: http.StatusBadGateway} {
		_, url := before(t, traffic.Config{}, serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Large", strings.Repeat("x", size)) }))
		reply, _, err := answer(request(t, http.MethodGet, url, nil))
		require.NoError(t, err)
		require.Equal(t, want, reply.StatusCode, size)
	}
}

func TestAnUploadIsAnsweredByWhoClosesAfterwards(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			n, _ := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(w, n)
		})}}, 100)
		for i := range 6 {
			status, body := b.ask(func(r *http.Request) {
				r.Method, r.Body, r.Close = http.MethodPost, io.NopCloser(io.LimitReader(zeros{}, 1<<20)), i%2 == 0
				if i%3 == 0 {
					r.ContentLength = 1 << 20
				}
			})
			require.Equal(b, http.StatusOK, status)
			require.Equal(b, "1048576", body)
		}
	})
}

func TestWhatIsAskedByAWholeURLArrives(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		service := b.serve(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.Method, " ", r.RequestURI, " ", r.Host)
		})
		b.set(1, map[string][]string{"a": {service}}, 100)
		for text, want := range map[string]string{
			"GET http://b.example/x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":     "GET /x?y b.example",
			"GET http://b.example HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":         "GET / b.example",
			"PROPFIND /%C3%A4;v=1/..;/ HTTP/1.1\r\nHost: a:81\r\nConnection: close\r\n\r\n": "PROPFIND /%C3%A4;v=1/..;/ a:81",
		} {
			_, r := b.dial(text)
			require.Equal(b, want, b.read(r))
		}
	})
}

// TestAClientMayAskAgainAfterAnEarlyReply has a service that refuses before it
// has read.
func TestAClientMayAskAgainAfterAnEarlyReply(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })}}, 100)
		for range 20 {
			status, _ := b.ask(func(r *http.Request) {
				r.Method, r.Body = http.MethodPost, io.NopCloser(io.LimitReader(zeros{}, 100<<10))
				r.ContentLength = 100 << 10
			})
			require.Equal(b, http.StatusUnauthorized, status)
		}
	})
}

// TestNobodyIsSpokenForByAnotherSpelling has names that some programs take for
// those of what a proxy says.
func TestNobodyIsSpokenForByAnotherSpelling(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		var got http.Header
		b.set(1, map[string][]string{"a": {b.serve(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })}}, 100)
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
		r.Header = http.Header{
			"X_forwarded_for": {"6.6.6.6"}, "X-Forwarded_for": {"6.6.6.6"}, "X.Forwarded.Proto": {"https"}, "X_FORWARDED-HOST": {"evil"},
			"X_other_of_16_xx": {"kept"}, "X.Forwarded": {"kept"},
		}
		b.router.Handler(web).ServeHTTP(httptest.NewRecorder(), r)
		var odd []string
		for name := range got {
			if strings.ContainsAny(name, "_.") {
				odd = append(odd, name)
			}
		}
		require.ElementsMatch(b, []string{"X_other_of_16_xx", "X.forwarded"}, odd)
	})
}
