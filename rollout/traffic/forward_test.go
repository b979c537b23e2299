package traffic_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// said is what a client may say of who asks.
func said() http.Header {
	return http.Header{
		"X-Forwarded-For": {"6.6.6.6", "7.7.7.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"said.example"},
		"Forwarded": {"for=6.6.6.6;proto=https"}, "Connection": {"X-Forwarded-For, X-Forwarded-Host, Forwarded"},
	}
}

func TestWhoAsksIsSaidByWhoIsTrusted(t *testing.T) {
	told := []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, from string
		header     http.Header
		want       []string // of told
	}{
		{"a client", "9.9.9.9:1", said(), []string{"9.9.9.9", "http", "shop.example", ""}},
		{"a client who says nothing", "9.9.9.9:1", http.Header{}, []string{"9.9.9.9", "http", "shop.example", ""}},
		{"a proxy", "10.1.2.3:1", said(), []string{"6.6.6.6, 7.7.7.7, 10.1.2.3", "https", "said.example", "for=6.6.6.6;proto=https, for=10.1.2.3"}},
		{"a proxy who says nothing", "10.1.2.3:1", http.Header{}, []string{"10.1.2.3", "http", "shop.example", ""}},
		{"a proxy over IPv6", "[fd00::1%eth0]:1", said(), []string{"6.6.6.6, 7.7.7.7, fd00::1%eth0", "https", "said.example", `for=6.6.6.6;proto=https, for="[fd00::1%eth0]"`}},
		{"a proxy over IPv4 in IPv6", "[::ffff:10.1.2.3]:1", said(), []string{"6.6.6.6, 7.7.7.7, ::ffff:10.1.2.3", "https", "said.example", `for=6.6.6.6;proto=https, for="[::ffff:10.1.2.3]"`}},
		{"nobody knows who", "@", said(), []string{"", "http", "shop.example", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, traffic.Config{TrustedProxies: trusted}, func(b *bubble) {
				var got http.Header
				host := ""
				b.set(1, map[string][]string{"a": {b.serve(func(_ http.ResponseWriter, r *http.Request) { got, host = r.Header, r.Host })}}, 100)
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://shop.example/", nil)
				r.RemoteAddr, r.Header = tt.from, tt.header
				before := r.Header.Clone()
				b.router.Handler(web).ServeHTTP(httptest.NewRecorder(), r)
				for i, name := range told {
					require.LessOrEqual(b, len(got[name]), 1, name)
					require.Equal(b, tt.want[i], got.Get(name), name)
				}
				require.Equal(b, "shop.example", host)
				require.Equal(b, before, r.Header, "it is the caller's")
			})
		})
	}
}

func TestACookieIsSecureIfATrustedProxySpeaksTLS(t *testing.T) {
	for from, want := range map[string]bool{"10.1.2.3:1": true, "9.9.9.9:1": false} {
		t.Run(from, func(t *testing.T) {
			inBubble(t, traffic.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, func(b *bubble) {
				table := tableOf(1, b.three(), 100)
				table.Split.Sticky = &rollout.Sticky{Cookie: "visitor", Issue: true}
				require.NoError(b, b.router.Set(b.Context(), web, table))
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
				r.RemoteAddr, r.Header = from, said()
				w := httptest.NewRecorder()
				b.router.Handler(web).ServeHTTP(w, r)
				require.Len(b, w.Result().Cookies(), 1)
				require.Equal(b, want, w.Result().Cookies()[0].Secure)
			})
		})
	}
}

// TestHeadersOfOneHopAreNotPassedOn has every header that is of one connection,
// both ways.
func TestHeadersOfOneHopAreNotPassedOn(t *testing.T) {
	ofHop := []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Trailer", "X-Named"}
	inBubble(t, traffic.Config{}, func(b *bubble) {
		var got http.Header
		b.set(1, map[string][]string{"a": {b.serve(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header
			for _, name := range ofHop {
				w.Header().Set(name, "1")
			}
			w.Header().Set("Connection", "X-Named")
			w.Header().Set("X-Kept", "1")
		})}}, 100)
		r := b.request()
		for _, name := range ofHop {
			r.Header.Set(name, "1")
		}
		r.Header.Set("X-Kept", "1")
		r.Header["Connection"] = []string{"x-named", "close"}
		reply, err := b.client.RoundTrip(r)
		require.NoError(b, err)
		require.NoError(b, reply.Body.Close())
		for _, name := range append(ofHop, "Connection") {
			require.NotContains(b, got, name)
			require.NotContains(b, reply.Header, name)
		}
		require.Equal(b, []string{"1"}, got["X-Kept"])
		require.Equal(b, []string{"1"}, reply.Header["X-Kept"])
	})
}
